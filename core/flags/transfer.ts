import * as z from "zod";
import { type Route, route } from "../gateway/model";
import { type Result, err, ok } from "../result";
import { fieldErrors } from "./fieldErrors";
import { type FieldError, type Flag, completeFlag, environmentName, flag, flagInput, flagKey } from "./model";
import { type Segment, listedKeys, segment, segmentInput } from "./segment";
import { fromSimple, keyOfName, simpleFlag, unlikeSimple } from "./simple";

/** Flags, segments and routes on their way from one environment to another: what is exported, and how it is read again. */

export const SCHEMA_VERSION = 1;
/** A transfer is one transaction: these keep it within what a Worker can hold and D1 take at once. */
export const FLAGS_MAX = 1_000;
const SEGMENTS_MAX = 100;
const ROUTES_MAX = 200;

const exportedSegment = z.object({ ...segment.shape, keys: listedKeys });
export const exported = z.object({
	schemaVersion: z.literal(SCHEMA_VERSION),
	environment: environmentName,
	exportedAtMs: z.int(),
	flags: z.array(flag),
	segments: z.array(exportedSegment),
	routes: z.array(route),
	damaged: z.array(z.string()).optional().describe("keys of flags, segments and routes that cannot be read, and are not in the export"),
});

const items = (max: number, what: string) =>
	z.array(z.unknown()).max(max, `more than ${max} ${what} a request: one request is one transaction, so split it`);

/** What is around the flags. Each flag is read for itself, so that all of what is wrong is told at once, by flag. */
export const imported = z.strictObject({
	schemaVersion: z.literal(SCHEMA_VERSION).optional().describe("absent: the flags are in the simple format"),
	environment: z
		.string()
		.max(100)
		.optional()
		.describe("where it was exported: a host belongs to one environment, so in another one the routes are left out"),
	exportedAtMs: z.number().optional().describe("not looked at"),
	flags: items(FLAGS_MAX, "flags").default([]),
	segments: items(SEGMENTS_MAX, "segments").default([]).describe("flags and segments that are not named are left alone"),
	routes: items(ROUTES_MAX, "routes").default([]),
	damaged: z.array(z.string()).optional().describe("not looked at"),
});

/** A flag that somebody wants to be there. */
interface WantedFlag {
	readonly key: string;
	/** Where the request names it. */
	readonly pointer: string;
	/** What it becomes, given the one that is there. */
	readonly over: (existing: Flag | undefined) => Result<Flag, readonly FieldError[]>;
}
export interface WantedSegment {
	readonly key: string;
	readonly pointer: string;
	readonly segment: Segment;
	/** Each once. */
	readonly keys: readonly string[];
}
export interface WantedRoute {
	readonly key: string;
	readonly pointer: string;
	readonly route: Route;
}
/** Why a flag, a segment or a route cannot be taken; the errors' pointers are within it. */
export interface RefusedItem {
	readonly key: string;
	readonly pointer: string;
	readonly errors: readonly FieldError[];
}
export interface Wanted {
	readonly flags: readonly WantedFlag[];
	readonly segments: readonly WantedSegment[];
	readonly routes: readonly WantedRoute[];
	readonly refusedFlags: readonly RefusedItem[];
	readonly refusedSegments: readonly RefusedItem[];
	readonly refusedRoutes: readonly RefusedItem[];
	/** Keys of routes that stay where they come from. */
	readonly skippedRoutes: readonly string[];
}

export function readImport(file: z.infer<typeof imported>, environment: string): Wanted {
	const isSimple = file.schemaVersion === undefined;
	const flags = each(file.flags, "/flags", isSimple ? readSimple : readFlag);
	const segments = each(file.segments, "/segments", readSegment);
	const isElsewhere = file.environment !== undefined && file.environment !== environment;
	const routes = each(isElsewhere ? [] : file.routes, "/routes", readRoute);
	return {
		flags: flags.read,
		segments: segments.read,
		routes: routes.read,
		refusedFlags: flags.refused,
		refusedSegments: segments.refused,
		refusedRoutes: routes.refused,
		skippedRoutes: isElsewhere ? file.routes.map(keyIn) : [],
	};
}

type Read<T> = (raw: unknown, pointer: string) => Result<T, readonly FieldError[]>;

function each<T extends { readonly key: string }>(raw: readonly unknown[], at: string, read: Read<T>) {
	const found: T[] = [];
	const refused: RefusedItem[] = [];
	const keys = new Set<string>();
	raw.forEach((item, i) => {
		const pointer = `${at}/${i}`;
		const result = read(item, pointer);
		const key = result.ok ? result.value.key : keyIn(item);
		if (!result.ok) refused.push({ key, pointer, errors: result.error });
		else if (keys.has(key)) refused.push({ key, pointer, errors: [{ pointer: "", message: `"${key}" is named twice` }] });
		else found.push(result.value);
		keys.add(key);
	});
	return { read: found, refused };
}

/** The name of what cannot be read, as far as it has one. */
function keyIn(item: unknown): string {
	const { key, name } = (typeof item === "object" && item !== null ? item : {}) as { key?: unknown; name?: unknown };
	const found = typeof key === "string" ? key : name;
	return typeof found === "string" ? found.slice(0, 200) : "";
}

function readFlag(raw: unknown, pointer: string): Result<WantedFlag, readonly FieldError[]> {
	const parsed = flagInput.safeParse(raw);
	if (!parsed.success) return err(fieldErrors(parsed.error.issues, raw));
	const complete = completeFlag(parsed.data);
	return ok({ key: complete.key, pointer, over: () => ok(complete) });
}

function readSimple(raw: unknown, pointer: string): Result<WantedFlag, readonly FieldError[]> {
	const parsed = simpleFlag.safeParse(raw);
	if (!parsed.success) return err(fieldErrors(parsed.error.issues, raw));
	const key = flagKey.safeParse(keyOfName(parsed.data.name));
	if (!key.success)
		return err(
			fieldErrors(key.error.issues, keyOfName(parsed.data.name)).map(({ message }) => ({
				pointer: "/name",
				message: `makes no key: ${message}; give it another name`,
			})),
		);
	const decided = { key: key.data, ...fromSimple(parsed.data) };
	const fresh = completeFlag(flagInput.parse(decided));
	return ok({
		key: key.data,
		pointer,
		over(existing) {
			if (!existing) return ok(fresh);
			const errors = unlikeSimple(existing);
			return errors.length > 0 ? err(errors) : ok({ ...existing, ...decided });
		},
	});
}

const segmentWithKeys = z.strictObject({ ...segmentInput.shape, keys: listedKeys.default([]) });

function readSegment(raw: unknown, pointer: string): Result<WantedSegment, readonly FieldError[]> {
	const parsed = segmentWithKeys.safeParse(raw);
	if (!parsed.success) return err(fieldErrors(parsed.error.issues, raw));
	const { keys, ...rest } = parsed.data;
	return ok({ key: rest.key, pointer, segment: rest, keys: [...new Set(keys)] });
}

function readRoute(raw: unknown, pointer: string): Result<WantedRoute, readonly FieldError[]> {
	const parsed = route.safeParse(raw);
	if (!parsed.success) return err(fieldErrors(parsed.error.issues, raw));
	return ok({ key: parsed.data.key, pointer, route: parsed.data });
}

/** A promotion: the source's flags as they are there, but for the kill. What is killed here stays so: a promotion never un-kills. */
export function promoted(sources: readonly (Flag | { readonly missing: string; readonly why: string })[]): Wanted {
	const flags: WantedFlag[] = [];
	const refusedFlags: RefusedItem[] = [];
	const keys = new Set<string>();
	sources.forEach((source, i) => {
		const pointer = `/flags/${i}`;
		const key = "missing" in source ? source.missing : source.key;
		const refuse = (message: string): unknown => refusedFlags.push({ key, pointer, errors: [{ pointer: "", message }] });
		if ("missing" in source) refuse(source.why);
		else if (keys.has(key)) refuse(`"${key}" is named twice`);
		else flags.push({ key, pointer, over: (existing) => ok(existing ? { ...source, enabled: existing.enabled } : source) });
		keys.add(key);
	});
	return { flags, segments: [], routes: [], refusedFlags, refusedSegments: [], refusedRoutes: [], skippedRoutes: [] };
}
