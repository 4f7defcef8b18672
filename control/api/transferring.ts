import type { Context } from "hono";
import { type Difference, diff } from "../../core/flags/diff";
import { packListed } from "../../core/flags/listed";
import { type FieldError, type Flag, checkFlag } from "../../core/flags/model";
import type { Route } from "../../core/gateway/model";
import type { RefusedItem, Wanted, WantedRoute, WantedSegment } from "../../core/flags/transfer";
import { touchedOf } from "../store/flags";
import { type RouteWrite, routesToWrite } from "../store/manyRoutes";
import { checksIn, place, placeSegment } from "../store/references";
import { bytesOf, tooLarge } from "../store/size";
import { type Target, type Writes, readTarget, writeTransfer } from "../store/transfer";
import { routeErrors, variantsIn } from "./checkedRoutes";
import { type ApiEnv, actOf, publishBehind } from "./context";
import { orRefuse, refuse } from "./refusals";

/** Import and promotion are one: many flags, segments and routes go into an environment, all of them or none. */

/** A row of D1 holds 2 MB, and one of the audit a flag before and after. */
const ITEM_BYTES_MAX = 700_000;
/** What is wrong with one flag: beyond that nobody reads on, and a body of 8 MiB can hold a million mistakes. */
const ERRORS_MAX = 50;

interface ItemsReport {
	readonly created: string[];
	readonly changed: { key: string; diff: Difference[] }[];
	readonly unchanged: string[];
	readonly refused: { key: string; errors: FieldError[] }[];
}
export interface Report extends ItemsReport {
	readonly segments: ItemsReport;
	readonly routes: ItemsReport & { readonly skipped: string[] };
	readonly applied: boolean;
}

export interface Transfer {
	readonly environment: string;
	readonly wanted: Wanted;
	readonly isDryRun: boolean;
	readonly reason: string;
	readonly verb: "imported" | "promoted";
}

/** What was done, or in a dry run would be; throws a Refused where any of it cannot be. */
export async function transfer(c: Context<ApiEnv>, { environment, wanted, isDryRun, reason, verb }: Transfer): Promise<Report> {
	const { db, realNow } = c.get("deps");
	const keysOf = (items: readonly { readonly key: string }[]): string[] => items.map(({ key }) => key);
	const read = await readTarget(db, environment, keysOf(wanted.flags), keysOf(wanted.segments), keysOf(wanted.routes));
	// A route that is replaced requires nothing any more.
	const named = new Set(keysOf(wanted.routes));
	const target = { ...read, world: { ...read.world, routes: read.world.routes.filter(({ key }) => !named.has(key)) } };
	const plan = planFor(target, wanted, verb === "promoted" ? whatToPromote : (found) => found);
	const routes = await planForRoutes(c, target, wanted);
	const report = { ...plan.flags, segments: plan.segments, routes: routes.report };
	const refused = [...plan.refused, ...routes.refused];
	if (refused.length > 0)
		refuse({
			kind: "transfer_refused",
			// Pointers into the request; in the report, by flag, they are into the flag.
			errors: refused.flatMap(({ pointer, errors }) => errors.map((each) => ({ ...each, pointer: pointer + each.pointer }))),
			report: { ...report, applied: false },
		});
	const bytes = target.bytes.others + plan.bytes + wanted.routes.reduce((sum, { route }) => sum + bytesOf(route), 0);
	const refusal = bytes > target.bytes.all && tooLarge(bytes);
	if (refusal) refuse(refusal);
	if (isDryRun) return { ...report, applied: false };
	// Where nothing differs there is nothing to write, and nothing to publish.
	if (plan.writes.flags.length + plan.writes.segments.length + routes.writes.length > 0) {
		const writes = { ...plan.writes, routes: routes.writes };
		if (!(await writeTransfer(db, target, writes, actOf(c, reason), verb, realNow()))) refuse({ kind: "changed_meanwhile" });
		publishBehind(c);
	}
	return { ...report, applied: true };
}

interface Plan {
	readonly flags: ItemsReport;
	readonly segments: ItemsReport;
	readonly refused: readonly RefusedItem[];
	readonly writes: Pick<Writes, "flags" | "segments">;
	/** Of all flags and segments that are wanted. */
	readonly bytes: number;
}

function planFor(target: Target, wanted: Wanted, advise: (found: FieldError) => FieldError): Plan {
	const refusedFlags = [...wanted.refusedFlags];
	const refusedSegments = [...wanted.refusedSegments];
	const made = wanted.flags.flatMap(({ key, pointer, over }) => {
		const flag = over(target.flags.get(key)?.config);
		if (!flag.ok) refusedFlags.push({ key, pointer, errors: flag.error });
		return flag.ok ? [{ key, pointer, flag: flag.value }] : [];
	});
	// They may name each other, so all of them are there before any is checked.
	for (const { flag } of made) place(target.world, flag);
	for (const { segment } of wanted.segments) placeSegment(target.world, segment);
	const checks = checksIn(target.world);

	const flags: Compared<Flag>[] = [];
	for (const { key, pointer, flag } of made) {
		const found = compareFlag(target, flag);
		const errors = found.state === "unchanged" ? [] : flagErrors(target, flag, checks);
		if (errors.length > 0) refusedFlags.push({ key, pointer, errors: errors.map(advise) });
		else flags.push(found);
	}
	const segments: Compared<Writes["segments"][number]>[] = [];
	for (const each of wanted.segments) {
		const found = compareSegment(target, each);
		const errors = found.state === "unchanged" ? [] : [...sizeErrors(bytesOf(each.segment)), ...checks.segmentErrors(each.segment)];
		if (errors.length > 0) refusedSegments.push({ key: each.key, pointer: each.pointer, errors });
		else segments.push(found);
	}
	return {
		flags: reportOf(flags, refusedFlags),
		segments: reportOf(segments, refusedSegments),
		refused: [...refusedFlags, ...refusedSegments].map(bounded),
		writes: { flags: written(flags), segments: written(segments) },
		bytes:
			flags.reduce((sum, { item }) => sum + bytesOf(item), 0) +
			segments.reduce((sum, { item }) => sum + bytesOf(item.segment, item.listed), 0),
	};
}

interface RoutePlan {
	readonly report: Report["routes"];
	readonly refused: readonly RefusedItem[];
	readonly writes: readonly RouteWrite[];
}

/** Comes after planFor, which has placed the flags that they go by. */
async function planForRoutes(c: Context<ApiEnv>, target: Target, wanted: Wanted): Promise<RoutePlan> {
	const flags = variantsIn(target.world);
	const errorsOf = ({ route }: WantedRoute): readonly FieldError[] => {
		const own = sizeErrors(bytesOf(route));
		return own.length > 0 ? own : routeErrors(c, route, flags);
	};
	const wrong = wanted.routes.flatMap((each) => {
		const errors = errorsOf(each);
		return errors.length > 0 ? [{ key: each.key, pointer: each.pointer, errors }] : [];
	});
	const refused = [...wanted.refusedRoutes, ...wrong].map(bounded);
	const sound = wanted.routes.filter(({ key }) => !wrong.some((each) => each.key === key)).map(({ route }) => route);
	const writes = refused.length > 0 ? [] : orRefuse(await routesToWrite(c.get("deps").db, target.environment, sound));
	const compared = sound.map((item): Compared<Route> => {
		const write = writes.find(({ route }) => route.key === item.key);
		return { key: item.key, item, state: write ? stateOf(write.before !== undefined, write.diff) : "unchanged", diff: write?.diff ?? [] };
	});
	return { report: { ...reportOf(compared, refused), skipped: [...wanted.skippedRoutes] }, refused, writes };
}

interface Compared<T> {
	readonly key: string;
	readonly item: T;
	readonly state: "created" | "changed" | "unchanged";
	readonly diff: readonly Difference[];
}

function compareFlag(target: Target, flag: Flag): Compared<Flag> {
	const existing = target.flags.get(flag.key);
	const found = diff(existing?.config, flag);
	return { key: flag.key, item: flag, state: stateOf(existing !== undefined, found), diff: found };
}

function compareSegment(target: Target, { key, segment, keys }: WantedSegment): Compared<Writes["segments"][number]> {
	const existing = target.segments.get(key);
	const listed = existing && listedDifference(existing.digits, keys);
	const found = [...diff(existing?.config, segment), ...(listed ? [listed] : [])];
	const isRelisted = existing === undefined || listed !== undefined;
	const item = { segment, keys: isRelisted ? keys : undefined, listed: keys.length };
	return { key, item, state: stateOf(existing !== undefined, found), diff: found };
}

/** In numbers: lists are long. */
function listedDifference(digits: string, keys: readonly string[]): Difference | undefined {
	const after = packListed(keys);
	if (after === digits) return undefined;
	const [old, fresh] = [new Set(digits.match(/.{16}/g)), new Set(after.match(/.{16}/g))];
	return {
		path: "/keys",
		before: { listed: old.size, removed: [...old].filter((each) => !fresh.has(each)).length },
		after: { listed: fresh.size, added: [...fresh].filter((each) => !old.has(each)).length },
	};
}

function stateOf(isThere: boolean, found: readonly Difference[]): Compared<unknown>["state"] {
	if (!isThere) return "created";
	return found.length > 0 ? "changed" : "unchanged";
}

/** What is wrong with a flag that would be written. */
function flagErrors(target: Target, flag: Flag, checks: ReturnType<typeof checksIn>): readonly FieldError[] {
	const own = [...sizeErrors(bytesOf(flag)), ...checkFlag(flag)];
	if (own.length > 0) return own;
	const before = target.flags.get(flag.key)?.config;
	const errors = [...checks.flagErrors(flag), ...checks.variantErrors(flag, before)];
	const rollout = target.rollouts.get(flag.key);
	if (rollout === undefined) return errors;
	const touched = before ? touchedOf(before, flag) : [""];
	const message = `cannot change while rollout ${rollout} is active: roll it back or cancel it first`;
	return [...errors, ...touched.map((field) => ({ pointer: field === "" ? "" : `/${field}`, message }))];
}

/** What a promoted flag names and is not there was left behind where it comes from. */
function whatToPromote({ pointer, message }: FieldError): FieldError {
	if (pointer.startsWith("/prerequisites/")) return { pointer, message: `${message}; promote that flag along` };
	if (pointer.startsWith("/rules/") && pointer.endsWith("/segment"))
		return { pointer, message: `${message}; create or import it in the target first: a promotion takes no segments along` };
	return { pointer, message };
}

function sizeErrors(bytes: number): readonly FieldError[] {
	return bytes > ITEM_BYTES_MAX ? [{ pointer: "", message: `${bytes} bytes > limit ${ITEM_BYTES_MAX}` }] : [];
}

function reportOf<T>(compared: readonly Compared<T>[], refused: readonly RefusedItem[]): ItemsReport {
	const of = (state: Compared<T>["state"]) => compared.filter((each) => each.state === state);
	return {
		created: of("created").map(({ key }) => key),
		changed: of("changed").map(({ key, diff: found }) => ({ key, diff: [...found] })),
		unchanged: of("unchanged").map(({ key }) => key),
		refused: refused.map(bounded).map(({ key, errors }) => ({ key, errors: [...errors] })),
	};
}

function bounded(refused: RefusedItem): RefusedItem {
	const { errors } = refused;
	if (errors.length <= ERRORS_MAX) return refused;
	return { ...refused, errors: [...errors.slice(0, ERRORS_MAX), { pointer: "", message: `and ${errors.length - ERRORS_MAX} more` }] };
}

const written = <T>(compared: readonly Compared<T>[]): T[] => compared.filter(({ state }) => state !== "unchanged").map(({ item }) => item);
