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

/** So many are told of one pair of answers. */
const DIFFERENCES_MAX = 20;
/** Deeper JSON is compared as text: whoever walks it, or writes it again, does so by recursion. */
const DEPTH_MAX = 64;

export function compareAnswers(rules: Comparison, legacy: Answer, candidate: Answer): readonly Difference[] {
	const found: Difference[] = [];
	if (rules.status && legacy.status !== candidate.status) found.push({ at: "status", legacy: legacy.status, candidate: candidate.status });
	for (const name of rules.headers) {
		const [ours, theirs] = [legacy.headers[name] ?? null, candidate.headers[name] ?? null];
		if (ours !== theirs) found.push({ at: `header ${name}`, legacy: ours, candidate: theirs });
	}
	if (rules.body !== "none" && legacy.body !== null && candidate.body !== null)
		found.push(...compareBodies(rules, legacy.body, candidate.body));
	else if (rules.body !== "none" && (legacy.body === null) !== (candidate.body === null))
		found.push({ at: "body", legacy: sizeOf(legacy.body), candidate: sizeOf(candidate.body) });
	return found.slice(0, DIFFERENCES_MAX);
}

const sizeOf = (body: Uint8Array | null): string => (body === null ? "none, or too large" : `${body.length} bytes`);

function compareBodies(rules: Comparison, legacy: Uint8Array, candidate: Uint8Array): readonly Difference[] {
	if (isSame(legacy, candidate)) return [];
	if (rules.body === "json") {
		const [ours, theirs] = [parsed(legacy), parsed(candidate)];
		if (ours && theirs) {
			const found: Difference[] = [];
			const tolerance = Object.entries(rules.tolerance).map(([path, by]) => ({ path: partsOfPath(path), by }));
			walk(ours.value, theirs.value, "$", rules.ignore.map(partsOfPath), tolerance, found);
			return found;
		}
	}
	if (rules.body === "bytes") return [{ at: "body", legacy: sizeOf(legacy), candidate: sizeOf(candidate) }];
	const [ours, theirs] = [textOf(legacy), textOf(candidate)];
	return ours === theirs ? [] : [{ at: "body", legacy: ours.slice(0, SHOWN), candidate: theirs.slice(0, SHOWN) }];
}

const SHOWN = 500;

function isSame(a: Uint8Array, b: Uint8Array): boolean {
	return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Fixed decoding of UTF-8; core has no TextDecoder. */
function textOf(bytes: Uint8Array): string {
	let text = "";
	for (let at = 0; at < bytes.length;) {
		const [point, length] = pointAt(bytes, at);
		text += String.fromCodePoint(point);
		at += length;
	}
	return text;
}

const REPLACEMENT = [0xfffd, 1] as const;
/** The least code point that takes so many bytes: written with more it is none. */
const LEAST = [0, 0, 0x80, 0x800, 0x10000] as const;

function pointAt(bytes: Uint8Array, at: number): readonly [point: number, length: number] {
	const byte = bytes[at] ?? 0;
	if (byte < 0x80) return [byte, 1];
	const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
	if (byte < 0xc2 || byte > 0xf4) return REPLACEMENT;
	let point = byte & (0xff >> (length + 1));
	for (let i = 1; i < length; i++) {
		const next = bytes[at + i] ?? 0;
		if ((next & 0xc0) !== 0x80) return REPLACEMENT;
		point = (point << 6) | (next & 0x3f);
	}
	const isSurrogate = point >= 0xd800 && point < 0xe000;
	return isSurrogate || point > 0x10ffff || point < LEAST[length] ? REPLACEMENT : [point, length];
}

function parsed(bytes: Uint8Array): { readonly value: unknown } | undefined {
	const text = textOf(bytes);
	if (depthOf(text) > DEPTH_MAX) return undefined;
	try {
		return { value: JSON.parse(text) as unknown };
	} catch {
		return undefined;
	}
}

/** How deep the brackets of a JSON text go; those within its texts do not count. */
function depthOf(text: string): number {
	let [depth, deepest, isText] = [0, 0, false];
	for (let i = 0; i < text.length; i++) {
		const character = text[i];
		if (isText && character === "\\") i++;
		else if (character === '"') isText = !isText;
		else if (!isText && (character === "{" || character === "[")) deepest = Math.max(deepest, ++depth);
		else if (!isText && (character === "}" || character === "]")) depth--;
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
	for (const part of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
		const next = Array.isArray(legacy) ? `${at}[${part}]` : `${at}.${part}`;
		const inner = tolerance.flatMap(({ path, by }) => below([path], part).map((rest) => ({ path: rest, by })));
		walk(own(ours, part), own(theirs, part), next, below(ignored, part), inner, found);
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
export function sampled(body: Uint8Array | null, redact: readonly string[]): string {
	if (body === null) return "";
	const json = parsed(body);
	if (!json) return redact.length > 0 ? `${body.length} bytes, not JSON: nothing of it is kept` : textOf(body).slice(0, SAMPLE_CHARACTERS);
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
