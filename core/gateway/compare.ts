import { type PathParts, below, endsHere, partsOfPath } from "./jsonPaths";
import type { Comparison } from "./packed";

/** Whether two answers say the same, and where they do not. Pure. */

export interface Answer {
	readonly status: number;
	/** Names in lower case. */
	readonly headers: Readonly<Record<string, string>>;
	/** null: there is none, or it was too large to be kept. */
	readonly body: Uint8Array | null;
}

export interface Difference {
	/** "status", "header etag", "body", or the path into the JSON. */
	readonly at: string;
	readonly legacy: unknown;
	readonly candidate: unknown;
}

/** Bytes as UTF-8 says; undefined: they are none. */
export type Decode = (bytes: Uint8Array) => string | undefined;

/** So many are told of one pair of answers. */
const DIFFERENCES_MAX = 20;
/** Deeper JSON is compared as text: whoever walks it, or writes it again, does so by recursion. */
const DEPTH_MAX = 64;

export function compareAnswers(rules: Comparison, legacy: Answer, candidate: Answer, decode: Decode): readonly Difference[] {
	const found: Difference[] = [];
	if (rules.status && legacy.status !== candidate.status) found.push({ at: "status", legacy: legacy.status, candidate: candidate.status });
	for (const name of rules.headers) {
		const [ours, theirs] = [legacy.headers[name] ?? null, candidate.headers[name] ?? null];
		if (ours !== theirs) found.push({ at: `header ${name}`, legacy: ours, candidate: theirs });
	}
	if (rules.body !== "none" && legacy.body !== null && candidate.body !== null)
		found.push(...compareBodies(rules, legacy.body, candidate.body, decode));
	else if (rules.body !== "none" && (legacy.body === null) !== (candidate.body === null))
		found.push({ at: "body", legacy: sizeOf(legacy.body), candidate: sizeOf(candidate.body) });
	return found.slice(0, DIFFERENCES_MAX);
}

const sizeOf = (body: Uint8Array | null): string => (body === null ? "none, or too large" : `${body.length} bytes`);

function compareBodies(rules: Comparison, legacy: Uint8Array, candidate: Uint8Array, decode: Decode): readonly Difference[] {
	if (isSame(legacy, candidate)) return [];
	if (rules.body === "json") {
		const [ours, theirs] = [parsed(legacy, decode), parsed(candidate, decode)];
		if (ours && theirs) {
			const found: Difference[] = [];
			const tolerance = Object.entries(rules.tolerance).map(([path, by]) => ({ path: partsOfPath(path), by }));
			walk(ours.value, theirs.value, "$", rules.ignore.map(partsOfPath), tolerance, found);
			return found;
		}
	}
	const [ours, theirs] = rules.body === "bytes" ? [] : [decode(legacy), decode(candidate)];
	return [{ at: "body", legacy: ours?.slice(0, SHOWN) ?? sizeOf(legacy), candidate: theirs?.slice(0, SHOWN) ?? sizeOf(candidate) }];
}

const SHOWN = 500;

function isSame(a: Uint8Array, b: Uint8Array): boolean {
	if (a.length !== b.length) return false;
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
	return true;
}

function parsed(bytes: Uint8Array, decode: Decode): { readonly value: unknown } | undefined {
	const text = depthOf(bytes) > DEPTH_MAX ? undefined : decode(bytes);
	if (text === undefined) return undefined;
	try {
		return { value: JSON.parse(text) as unknown };
	} catch {
		return undefined;
	}
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** How deep the brackets of a JSON text go; those within its texts do not count. By bytes: none of another character looks like one of these. */
function depthOf(bytes: Uint8Array): number {
	let [depth, deepest, isText] = [0, 0, false];
	for (let i = 0; i < bytes.length; i++) {
		const byte = bytes[i] ?? 0;
		if (isText) {
			if (byte === BACKSLASH) i++;
			else if (byte === QUOTE) isText = false;
		} else if (byte === QUOTE) isText = true;
		// { and [, then } and ], which differ in one bit.
		else if ((byte | 0x20) === 0x7b) deepest = Math.max(deepest, ++depth);
		else if ((byte | 0x20) === 0x7d) depth--;
	}
	return deepest;
}

type Tolerance = readonly { readonly path: PathParts; readonly by: number }[];

function walk(
	legacy: unknown,
	candidate: unknown,
	at: string,
	ignored: readonly PathParts[],
	tolerance: Tolerance,
	found: Difference[],
): void {
	if (found.length >= DIFFERENCES_MAX || endsHere(ignored)) return;
	if (typeof legacy === "number" && typeof candidate === "number") {
		const by = Math.max(0, ...tolerance.flatMap((each) => (each.path.length === 0 ? each.by : [])));
		if (Math.abs(legacy - candidate) > by) found.push({ at, legacy, candidate });
		return;
	}
	const [ours, theirs] = [partsIn(legacy), partsIn(candidate)];
	if (!ours || !theirs || Array.isArray(legacy) !== Array.isArray(candidate)) {
		if (JSON.stringify(legacy) !== JSON.stringify(candidate)) found.push({ at, legacy, candidate });
		return;
	}
	const added = Object.keys(theirs).filter((part) => !Object.hasOwn(ours, part));
	for (const part of [...Object.keys(ours), ...added]) {
		const [one, other] = [own(ours, part), own(theirs, part)];
		// Most of it is alike, and is passed by.
		if (one === other) continue;
		const next = Array.isArray(legacy) ? `${at}[${part}]` : `${at}.${part}`;
		const inner = tolerance.flatMap(({ path, by }) => below([path], part).map((rest) => ({ path: rest, by })));
		walk(one, other, next, below(ignored, part), inner, found);
	}
}

/** undefined where it is missing: `{"constructor": …}` must not be compared with what every object inherits. */
const own = (parts: Readonly<Record<string, unknown>>, part: string): unknown => (Object.hasOwn(parts, part) ? parts[part] : undefined);

const partsIn = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
	typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;

export const REDACTED = "[redacted]";
/** What a sample keeps of an answer's text. */
const SAMPLE_CHARACTERS = 2_000;

/** A body as a sample keeps it: without what is redacted, and not for ever long. What is no JSON is kept only where nothing must be redacted. */
export function sampled(body: Uint8Array | null, redact: readonly string[], decode: Decode): string {
	if (body === null) return "";
	const json = parsed(body, decode);
	if (!json && redact.length > 0) return `${body.length} bytes, not JSON: nothing of it is kept`;
	if (!json) return decode(body)?.slice(0, SAMPLE_CHARACTERS) ?? `${body.length} bytes, not text`;
	return JSON.stringify(redacted(json.value, redact)).slice(0, SAMPLE_CHARACTERS);
}

/** Names of headers that say who somebody is. A body that has such a field tells of a header. */
const SECRET = new Set(["authorization", "cookie", "proxy-authorization", "set-cookie", "www-authenticate"]);
export const isSecretName = (name: string): boolean => SECRET.has(name.toLowerCase());

/** A JSON value without what is below the paths, and without secrets. */
export const redacted = (value: unknown, paths: readonly string[]): unknown => without(value, paths.map(partsOfPath));

function without(value: unknown, paths: readonly PathParts[]): unknown {
	if (endsHere(paths)) return REDACTED;
	if (typeof value !== "object" || value === null) return value;
	if (Array.isArray(value)) return value.map((each, i) => without(each, below(paths, String(i))));
	return Object.fromEntries(
		Object.entries(value).map(([name, each]) => [name, isSecretName(name) ? REDACTED : without(each, below(paths, name))]),
	);
}
