/** Analytics Engine's SQL API over HTTP: one query in, rows of checked cells out. */

export interface Account {
	readonly id: string;
	/** With the permission Account Analytics: Read. */
	readonly token: string;
}

export interface Limits {
	readonly timeoutMs: number;
	readonly responseBytesMax: number;
}

const API_URL = "https://api.cloudflare.com/client/v4";
const LIMITS: Limits = { timeoutMs: 10_000, responseBytesMax: 32 * 1024 * 1024 };

/** Why there is no answer. The message never holds the query, the token or the API's own text. */
export class AnalyticsEngineError extends Error {
	readonly reason: "refused" | "rate_limited" | "unavailable" | "timeout" | "unreachable" | "too_large" | "malformed";
	/** Of the answer, when there was one. */
	readonly status: number | null;

	constructor(reason: AnalyticsEngineError["reason"], message: string, status: number | null = null) {
		super(`Analytics Engine: ${message}`);
		this.name = "AnalyticsEngineError";
		this.reason = reason;
		this.status = status;
	}
}

export type Query = (sql: string) => Promise<readonly Row[]>;

export function analyticsEngineApi({ id, token }: Account, apiUrl: string = API_URL, limits: Limits = LIMITS): Query {
	const url = `${apiUrl}/accounts/${encodeURIComponent(id)}/analytics_engine/sql`;
	const headers = { Authorization: `Bearer ${token}`, "Content-Type": "text/plain; charset=utf-8" };
	return async (sql) => {
		const signal = AbortSignal.timeout(limits.timeoutMs);
		try {
			// A redirect is no answer: the token goes nowhere else.
			const response = await fetch(url, { method: "POST", headers, body: sql, signal, redirect: "manual" });
			if (response.status !== 200) {
				await response.body?.cancel();
				throw refusal(response.status);
			}
			return rowsOf(await readText(response.body, limits.responseBytesMax), response.status);
		} catch (error) {
			if (error instanceof AnalyticsEngineError) throw error;
			if (signal.aborted) throw new AnalyticsEngineError("timeout", `no answer within ${limits.timeoutMs} ms`);
			throw new AnalyticsEngineError("unreachable", "the connection failed");
		}
	};
}

function refusal(status: number): AnalyticsEngineError {
	if (status === 429) return new AnalyticsEngineError("rate_limited", "answered 429, too many queries", status);
	if (status >= 500) return new AnalyticsEngineError("unavailable", `answered ${status}`, status);
	const hint = status === 401 || status === 403 ? ": the token needs Account Analytics: Read on the account" : "";
	return new AnalyticsEngineError("refused", `answered ${status}${hint}`, status);
}

async function readText(body: ReadableStream<Uint8Array> | null, bytesMax: number): Promise<string> {
	const reader = body?.getReader();
	const decoder = new TextDecoder();
	let text = "";
	let bytes = 0;
	for (;;) {
		const chunk = await reader?.read();
		if (!chunk || chunk.done) return text + decoder.decode();
		bytes += chunk.value.byteLength;
		if (bytes > bytesMax) {
			await reader?.cancel();
			throw new AnalyticsEngineError("too_large", `the answer is larger than ${bytesMax} bytes`, 200);
		}
		text += decoder.decode(chunk.value, { stream: true });
	}
}

function rowsOf(text: string, status: number): readonly Row[] {
	const malformed = (what: string) => new AnalyticsEngineError("malformed", what, status);
	let answer: unknown;
	try {
		answer = JSON.parse(text);
	} catch {
		throw malformed("the answer is not JSON");
	}
	const { data, rows } = (typeof answer === "object" && answer !== null ? answer : {}) as { data?: unknown; rows?: unknown };
	if (!Array.isArray(data)) throw malformed("the answer has no rows");
	// Nothing else would tell that the end is missing.
	if (rows !== undefined && Number(rows) !== data.length) throw malformed(`${data.length} rows, and it says ${Number(rows)}`);
	return data.map((cells: unknown) => {
		if (typeof cells !== "object" || cells === null) throw malformed("a row is none");
		return new Row(cells as Readonly<Record<string, unknown>>);
	});
}

const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

/** A row's cells by name. One that is missing, null or no number is an error: it must not become evidence as 0. */
export class Row {
	readonly #cells: Readonly<Record<string, unknown>>;

	constructor(cells: Readonly<Record<string, unknown>>) {
		this.#cells = cells;
	}

	/** 64-bit integers come as texts. */
	number(name: string): number {
		const cell = this.#cells[name];
		const value = typeof cell === "string" && NUMBER.test(cell) ? Number(cell) : cell;
		if (typeof value === "number" && Number.isFinite(value)) return value;
		throw new AnalyticsEngineError("malformed", `${name} is no number`, 200);
	}

	text(name: string): string {
		const cell = this.#cells[name];
		if (typeof cell === "string") return cell;
		throw new AnalyticsEngineError("malformed", `${name} is no text`, 200);
	}
}
