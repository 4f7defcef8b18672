import { createRequire } from "node:module";

/** A ClickHouse inside this process with a dataset in it, in Analytics Engine's columns. Vitest gives each file a process of its own. */

interface Session {
	query(sql: string): string;
	queryAsync(sql: string): Promise<{ text(): string }>;
	close(): void;
}

export const DATASET = "tidegate";
const COLUMNS_OF_A_KIND = 20;
const numbered = (kind: string): string[] => Array.from({ length: COLUMNS_OF_A_KIND }, (_, i) => `${kind}${i + 1}`);

/** When a point arrived, and how many points its row stands for. */
export interface Arrival {
	readonly second: number;
	readonly sampleInterval?: number;
}

export interface Engine {
	/** The answer to a query as JSON text; rejects with ClickHouse's message. */
	query(sql: string): Promise<string>;
	/** The next query sees them. */
	insert(points: readonly AnalyticsEngineDataPoint[], arrival: Arrival): void;
	close(): void;
}

export function openEngine(): Engine {
	// Installed on first use, so it cannot be imported where it is not.
	const chdb = createRequire(import.meta.url)("chdb") as { Session: new () => Session };
	const session = new chdb.Session();
	for (const sql of [
		// As the SQL API does.
		"SET output_format_json_quote_64bit_integers = 1",
		// Small tables, many queries.
		"SET max_threads = 1, compile_expressions = 0, compile_aggregate_expressions = 0, log_queries = 0",
		`CREATE TABLE default.${DATASET} (dataset String, timestamp DateTime, _sample_interval UInt32, index1 String,
			${numbered("blob").join(" String, ")} String, ${numbered("double").join(" Float64, ")} Float64) ENGINE = MergeTree ORDER BY (index1, timestamp)`,
	])
		session.query(sql);
	/** Rows that have not been inserted yet: a table of many small parts is slow to read. */
	let waiting: string[] = [];
	let inserted: Promise<unknown> = Promise.resolve();
	const insertWaiting = async (): Promise<void> => {
		const rows = waiting;
		waiting = [];
		if (rows.length > 0)
			inserted = inserted.then(() => session.queryAsync(`INSERT INTO default.${DATASET} FORMAT JSONEachRow\n${rows.join("\n")}`));
		await inserted;
	};
	return {
		async query(sql) {
			await insertWaiting();
			return (await session.queryAsync(sql)).text();
		},
		insert(points, arrival) {
			for (const point of points) waiting.push(JSON.stringify(rowOf(point, arrival)));
		},
		close: () => session.close(),
	};
}

/** As Analytics Engine keeps a point: columns that it does not have are empty or 0, and texts are UTF-8. */
function rowOf({ indexes = [], blobs = [], doubles = [] }: AnalyticsEngineDataPoint, { second, sampleInterval = 1 }: Arrival) {
	const texts = (values: readonly unknown[], kind: string): [string, string][] =>
		values.map((value, i) => [`${kind}${i + 1}`, String(value).toWellFormed()]);
	return Object.fromEntries<string | number>([
		["dataset", DATASET],
		["timestamp", second],
		["_sample_interval", sampleInterval],
		...texts(indexes, "index"),
		...texts(blobs, "blob"),
		...doubles.map((value, i): [string, number] => [`double${i + 1}`, value]),
	]);
}
