import { randomUUID } from "node:crypto";
import * as z from "zod";
import { version } from "../package.json";
import { EXIT, Stop, failure } from "./exit";

/** The control plane's API: the only thing that the CLI speaks to, but for the probes of doctor. */

export const REQUEST_MS = 10_000;

export interface Write {
	readonly method: "POST" | "PATCH" | "PUT" | "DELETE";
	/** Below /api/v1. */
	readonly path: string;
	readonly query?: Query;
	readonly body?: unknown;
	/** The version that was read. */
	readonly ifMatch?: number;
}
type Query = Readonly<Record<string, string | number | undefined>>;

export interface Control {
	readonly url: string;
	get<T>(path: string, schema: z.ZodType<T>, query?: Query): Promise<T>;
	/** A question that has a body: nothing is written. `ms`: where the answer takes longer than others. */
	ask<T>(path: string, body: unknown, schema: z.ZodType<T>, ms?: number): Promise<T>;
	/** `key` makes two sendings of the same write one, where control knows it; `hear` is told what the answer says beside its body. */
	send<T>(write: Write, schema: z.ZodType<T>, key?: string, hear?: Hear): Promise<T>;
	/** The whole URL of a write, to be shown. */
	locate(write: Write): string;
}

export type Hear = (headers: Headers) => void;

export interface Access {
	readonly url: string;
	readonly token: string;
	readonly interrupted: AbortSignal;
	readonly requestMs?: number;
}

export function controlAt({ url, token, interrupted, requestMs = REQUEST_MS }: Access): Control {
	const at = (path: string, query: Query = {}): string => {
		const named = Object.entries(query).flatMap(([name, value]): [string, string][] =>
			value === undefined ? [] : [[name, String(value)]],
		);
		const search = new URLSearchParams(named).toString();
		return `${url}/api/v1${path}${search === "" ? "" : `?${search}`}`;
	};
	const call = async <T>(
		method: string,
		address: string,
		schema: z.ZodType<T>,
		headers: Record<string, string>,
		body?: unknown,
		{ ms = requestMs, hear }: { ms?: number | undefined; hear?: Hear | undefined } = {},
	) => {
		const answer = await request(address, {
			method,
			headers: {
				authorization: `Bearer ${token}`,
				accept: "application/json",
				...(body === undefined ? {} : { "content-type": "application/json" }),
				...headers,
			},
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
			requestMs: ms,
			interrupted,
		}).catch((error: unknown) => {
			if (error instanceof Unanswered)
				throw new Stop(EXIT.unreachable, `control at ${url} ${error.message}${"idempotency-key" in headers ? afterSilence(error) : ""}`);
			throw error;
		});
		const what = `${method} ${new URL(address).pathname}`;
		if (answer.status >= 300) throw refusalOf(answer, url, what);
		const read = schema.safeParse(answer.body);
		if (read.success) {
			hear?.(answer.headers);
			return read.data;
		}
		const where = read.error.issues[0]?.path.join("/") ?? "";
		throw failure(
			`the answer to ${what} is not understood${where === "" ? "" : ` (at ${where})`}: is ${url} control, and of the same version as this CLI?`,
		);
	};
	return {
		url,
		get: (path, schema, query) => call("GET", at(path, query), schema, {}),
		ask: (path, body, schema, ms) => call("POST", at(path), schema, {}, body, { ms }),
		send: ({ method, path, query, body, ifMatch }, schema, key = randomUUID(), hear) =>
			call(
				method,
				at(path, query),
				schema,
				{ "idempotency-key": key, ...(ifMatch === undefined ? {} : { "if-match": `"${ifMatch}"` }) },
				body,
				{ hear },
			),
		locate: ({ path, query }) => at(path, query),
	};
}

export interface Answered {
	readonly status: number;
	/** Parsed where it is JSON, else undefined. */
	readonly body: unknown;
	readonly headers: Headers;
	readonly tookMs: number;
}

/** Nothing came back; whether the request arrived is not known, unless the connection was never made. */
export class Unanswered extends Error {
	readonly wasConnected: boolean;
	constructor(message: string, wasConnected: boolean) {
		super(message);
		this.wasConnected = wasConnected;
	}
}

export async function request(
	address: string,
	{ requestMs, interrupted, ...init }: RequestInit & { requestMs: number; interrupted: AbortSignal },
): Promise<Answered> {
	const sentAtMs = performance.now();
	const headers = new Headers(init.headers);
	headers.set("user-agent", `tidegate-cli/${version}`);
	try {
		// A redirect would carry the token on, and a write to somebody else.
		const response = await fetch(address, {
			...init,
			headers,
			redirect: "manual",
			signal: AbortSignal.any([AbortSignal.timeout(requestMs), interrupted]),
		});
		const text = await response.text();
		return { status: response.status, body: jsonIn(text), headers: response.headers, tookMs: performance.now() - sentAtMs };
	} catch (error) {
		if (interrupted.aborted) throw new Stop(EXIT.interrupted, "interrupted");
		throw unanswered(error, requestMs);
	}
}

function jsonIn(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

const CAUSES: Readonly<Record<string, string>> = {
	ECONNREFUSED: "refuses the connection: is it running?",
	ENOTFOUND: "cannot be found: its name does not resolve",
	EAI_AGAIN: "cannot be found: no name server answers",
	ECONNRESET: "closed the connection",
	UND_ERR_SOCKET: "closed the connection",
	UND_ERR_CONNECT_TIMEOUT: "cannot be reached: no connection in time",
	EHOSTUNREACH: "cannot be reached: there is no route to it",
	ENETUNREACH: "cannot be reached: there is no network",
	CERT_HAS_EXPIRED: "has a certificate that has expired",
	DEPTH_ZERO_SELF_SIGNED_CERT: "has a certificate that nobody vouches for",
	ERR_TLS_CERT_ALTNAME_INVALID: "has a certificate for another name",
};
const NEVER_CONNECTED = /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT|CERT_|DEPTH_|ERR_TLS)/;

function unanswered(error: unknown, requestMs: number): Error {
	if (error instanceof Error && error.name === "TimeoutError") return new Unanswered(`gave no answer in ${requestMs / 1_000} s`, true);
	if (!(error instanceof TypeError)) return error as Error;
	const { cause } = error as { cause?: { code?: string; message?: string; errors?: readonly { code?: string }[] } };
	const code = cause?.code ?? cause?.errors?.[0]?.code ?? "";
	return new Unanswered(CAUSES[code] ?? `cannot be reached: ${cause?.message ?? error.message}`, !NEVER_CONNECTED.test(code));
}

/** What was sent may have been done all the same. */
function afterSilence({ wasConnected }: Unanswered): string {
	if (!wasConnected) return "";
	return ". Whether this was carried out is not known: look, before you send it again";
}

const problem = z.looseObject({
	type: z.string(),
	title: z.string(),
	detail: z.string(),
	errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
});
export type Problem = z.infer<typeof problem>;

const isAway = (status: number): boolean => [502, 503, 504].includes(status) || (status >= 520 && status <= 530);

function refusalOf({ status, body, headers }: Answered, url: string, what: string): Stop {
	if (status < 400) {
		const to = headers.get("location") ?? "somewhere else";
		return failure(`${url} sends ${what} on to ${to}: log in with the URL of control itself (behind Access it needs a service token)`);
	}
	const known = problem.safeParse(body);
	if (!known.success) {
		const exit = isAway(status) ? EXIT.unreachable : EXIT.failure;
		return new Stop(exit, `${what} was answered with status ${status}, and not by control: is ${url} its URL?`, { status });
	}
	const { title, detail, errors } = known.data;
	if (status === 404 && detail.includes("/ofrep/v1/")) return failure(`${url} is the edge, which answers for flags: take control's URL`);
	const details = { status, problem: known.data };
	if (status === 403) return new Stop(EXIT.unauthorized, detail, details);
	if (status === 401) return new Stop(EXIT.unauthorized, `${url} does not take the token: ${detail}`, details);
	const id = headers.get("x-correlation-id");
	const trace = status >= 500 && id !== null ? ` (correlation id ${id})` : "";
	const listed = errors?.length
		? `${title}:\n${errors.map(({ pointer, message }) => `  ${pointer || "/"}: ${message}`).join("\n")}`
		: detail;
	return new Stop(isAway(status) ? EXIT.unreachable : EXIT.failure, `${listed}${trace}`, details);
}

/** The problem that control answered with, where it is one. */
export function problemIn(error: unknown): Problem | undefined {
	return error instanceof Stop ? (error.details["problem"] as Problem | undefined) : undefined;
}
