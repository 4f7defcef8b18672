import { pointerTo } from "./fieldErrors";

/** One place in which two values differ. */
export interface Difference {
	/**
	 * JSON Pointer. An element of a list whose elements have names is told by its name, `/rules/beta/serve`: positions shift
	 * when a list grows, and would name two elements.
	 */
	readonly path: string;
	/** Absent: there was nothing. */
	readonly before?: unknown;
	/** Absent: there is nothing any more. */
	readonly after?: unknown;
}

/** What names an element: the first of these that tells all of a list apart. */
const NAMES = ["id", "key", "flag", "variant"] as const;
/** An object variant may be nested thousands deep: what is below this differs as a whole. */
const DEPTH_MAX = 16;

/** How `after` came of `before`, as people read it; empty when they are equal. Both are JSON, or undefined: nothing. */
export function diff(before: unknown, after: unknown): readonly Difference[] {
	return differences([], before, after);
}

function differences(path: readonly string[], before: unknown, after: unknown): readonly Difference[] {
	if (before === after) return [];
	if (path.length < DEPTH_MAX) {
		if (Array.isArray(before) && Array.isArray(after)) return ofLists(path, before, after);
		if (isObject(before) && isObject(after)) return ofFields(path, before, after);
	}
	return whole(path, before, after);
}

function ofFields(path: readonly string[], before: Fields, after: Fields): readonly Difference[] {
	const names = new Set([...Object.keys(before), ...Object.keys(after)]);
	return [...names].flatMap((name) => differences([...path, name], own(before, name), own(after, name)));
}

function ofLists(path: readonly string[], before: readonly unknown[], after: readonly unknown[]): readonly Difference[] {
	const name = NAMES.find((each) => tellsApart(each, before) && tellsApart(each, after));
	if (name !== undefined && before.length + after.length > 0) return ofNamed(path, byName(name, before), byName(name, after));
	const isByPosition = before.length === after.length && [...before, ...after].every(isObject);
	if (isByPosition) return before.flatMap((each, i) => differences([...path, String(i)], each, after[i]));
	return whole(path, before, after);
}

function ofNamed(path: readonly string[], before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>) {
	const names = new Set([...before.keys(), ...after.keys()]);
	const found = [...names].flatMap((name) => differences([...path, name], before.get(name), after.get(name)));
	// The order of rules decides, and that of a split's parts: it is a difference even where every element is equal.
	const stayed = [...before.keys()].filter((name) => after.has(name));
	const isReordered = [...after.keys()].filter((name) => before.has(name)).some((name, i) => name !== stayed[i]);
	return isReordered ? [...found, { path: pointerTo(path), before: [...before.keys()], after: [...after.keys()] }] : found;
}

function whole(path: readonly string[], before: unknown, after: unknown): readonly Difference[] {
	if (JSON.stringify(before) === JSON.stringify(after)) return [];
	return [{ path: pointerTo(path), ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }];
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const own = (fields: Fields, name: string): unknown => (Object.hasOwn(fields, name) ? fields[name] : undefined);

function tellsApart(name: string, list: readonly unknown[]): boolean {
	const names = list.map((each) => (isObject(each) ? own(each, name) : undefined));
	return names.every((each) => typeof each === "string") && new Set(names).size === names.length;
}

function byName(name: string, list: readonly unknown[]): ReadonlyMap<string, unknown> {
	return new Map((list as readonly Fields[]).map((each) => [String(each[name]), each]));
}
