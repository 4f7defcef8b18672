import { readD1Migrations } from "@cloudflare/vitest-plugin";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";

/** Runs statements where D1 is: a call from here for each of them would cost more than all the rest. */
const SCRIPT = `export default {
	async fetch(request, { DB }) {
		const statements = await request.json();
		try {
			return Response.json(await DB.batch(statements.map(([sql, values]) => DB.prepare(sql).bind(...values))));
		} catch (error) {
			return new Response(error.message, { status: 500 });
		}
	},
};`;

type Answer = { readonly results: readonly Readonly<Record<string, unknown>>[] };
type Run = (statements: readonly Statement[]) => Promise<Answer[]>;

/** As much of D1's statement as the reader uses. */
class Statement {
	readonly run: Run;
	readonly sql: string;
	readonly values: readonly unknown[];

	constructor(run: Run, sql: string, values: readonly unknown[] = []) {
		this.run = run;
		this.sql = sql;
		this.values = values;
	}

	bind(...values: readonly unknown[]): Statement {
		return new Statement(this.run, this.sql, values);
	}

	async all(): Promise<Answer> {
		const [answer] = await this.run([this]);
		return answer ?? { results: [] };
	}

	async first(column?: string): Promise<unknown> {
		const [row] = (await this.all()).results;
		return column === undefined ? (row ?? null) : (row?.[column] ?? null);
	}
}

export interface Database {
	readonly db: D1Database;
	close(): Promise<void>;
}

/** A D1 with the project's tables. */
export async function openDatabase(): Promise<Database> {
	const miniflare = new Miniflare(convertV4MiniflareOptions({ modules: true, script: SCRIPT, cf: false, d1Databases: { DB: "tidegate" } }));
	const run: Run = async (statements) => {
		const body = JSON.stringify(statements.map(({ sql, values }) => [sql, values]));
		const response = await miniflare.dispatchFetch("http://d1/", { method: "POST", body });
		if (!response.ok) throw new Error(await response.text());
		return (await response.json()) as Answer[];
	};
	const db = { prepare: (sql: string) => new Statement(run, sql), batch: run } as unknown as D1Database;
	for (const { queries } of await readD1Migrations("migrations"))
		// oxlint-disable-next-line no-await-in-loop -- one migration after the other
		await db.batch(queries.map((query) => db.prepare(query)));
	return { db, close: () => miniflare.dispose() };
}
