import { type Attribution, attribute } from "../../core/flags/attribution";
import type { Context } from "../../core/flags/match";
import type { ActiveOverlay } from "../../core/flags/overlay";
import type { Snapshot } from "../../core/flags/ruleset";
import type { PackedRoute } from "../../core/gateway/packed";
import { unscopedMetric } from "../../core/metric";
import type { Point } from "../../core/telemetry";
import { log } from "../log";
import { asCompared, pointsAt } from "../points";
import type { Edge } from "../router";
import type { Sources } from "../sources";
import { knownUnit, unitOf } from "../unit";
import { flagsOf } from "./assign";
import { keep, lose, send } from "./buffer";
import type { Kept, Unlearnt } from "./gateway";
import { inTurn, isFree } from "./turn";

/** Outcomes of requests as evidence. */

/** Of whom, and under what, an outcome is. */
export interface Measured {
	readonly environment: string;
	readonly route: PackedRoute;
	readonly snapshot: Snapshot;
	readonly overlay: ActiveOverlay;
	readonly context: Context;
	readonly atMs: number;
}
export type Outcomes = readonly (readonly [metric: string, value: number])[];

/** What of a route's answers is measured besides errors and the time until they begin. */
export interface Wanted {
	readonly duration: boolean;
	readonly bytes: boolean;
}

/** By the route, which is a snapshot's own: asked with every request, and answered once. */
const wantedOfRoutes = new WeakMap<PackedRoute, Wanted | "nothing">();

/** undefined: an outcome of the route is evidence of nothing. To see an answer's end costs, so that is done where a criterion looks at it. */
export function wantedOf(route: PackedRoute, snapshot: Snapshot): Wanted | undefined {
	let found = wantedOfRoutes.get(route);
	if (found === undefined) {
		const { rollouts, flags } = snapshot.measured();
		const own = flagsOf(route);
		const concerned = rollouts.filter((each) => own.some((key) => each.flags.includes(key)));
		const isAsked = (metric: string): boolean =>
			concerned.some(({ signals }) => signals.some((each) => unscopedMetric(each.metric) === metric));
		const isMeasured = concerned.length > 0 || own.some((key) => flags.includes(key));
		found = isMeasured ? { duration: isAsked("duration_ms"), bytes: isAsked("response_bytes") } : "nothing";
		wantedOfRoutes.set(route, found);
	}
	return found === "nothing" ? undefined : found;
}

/** A value of any metric is no larger. */
const BYTES_MAX = 1e9;

/** What an answer that was read to its end says, as far as anybody asks. */
export function endOutcomes({ duration, bytes }: Wanted, ms: number, length: number): Outcomes {
	const outcomes: [string, number][] = [];
	if (duration) outcomes.push(["duration_ms", ms]);
	if (bytes) outcomes.push(["response_bytes", Math.min(length, BYTES_MAX)]);
	return outcomes;
}

/** So many requests wait at most. */
const UNLEARNT_MAX = 1_000;
const LEARNT_AT_ONCE = 50;

/**
 * Leaves an outcome to be learnt from behind an answer, with those of other requests: all at once they take a fraction of what they take one by
 * one. `endsMs`: when work behind this answer must have ended. Never throws.
 */
export function learn(of: Measured, outcomes: Outcomes, to: Learning, endsMs?: number): void {
	if (outcomes.length === 0) return;
	const { gateway, sources, collector } = to;
	const { kept } = gateway;
	if (!collector.userHashKey) {
		if (!kept.isWarned) log("gateway_unmeasured", { reason: "the secret USER_HASH_KEY is not set" });
		kept.isWarned = true;
		return;
	}
	if (kept.unlearnt.length < UNLEARNT_MAX) kept.unlearnt.push({ of, outcomes });
	else
		for (const point of pointsOf(of, outcomes, attributionsOf(of), []))
			lose(kept, { environment: of.environment, route: of.route.key, point });
	if (isFree(kept.pointsTurn, sources.now(), kept.unlearnt.length >= gateway.urgentFrom)) sources.waitUntil(flush(to, endsMs));
}

/** Learns from what has come, and sends all points, if it is nobody's turn. Never rejects. */
export async function flush({ gateway, sources, collector }: Learning, endsMs?: number): Promise<void> {
	const { kept, flushAfterMs: pauseMs, urgentFrom } = gateway;
	const isUrgent = (): boolean => kept.unlearnt.length >= urgentFrom;
	const sending = { storeOf: gateway.points(sources.colo()), isFirst: true };
	await inTurn(kept.pointsTurn, { pauseMs, isUrgent, endsMs }, sources, async (untilMs) => {
		await learnAll(kept, collector.userHashKey ?? "", sources.wait);
		return (await send(kept, sending, untilMs, sources)) && kept.points.length + kept.unlearnt.length > 0;
	});
}

/** A few at a time: an answer that is on its way out does not wait for all. */
async function learnAll(kept: Kept, secret: string, wait: Sources["wait"]): Promise<void> {
	for (let left = kept.unlearnt.length; left > 0; left -= LEARNT_AT_ONCE) {
		for (const one of kept.unlearnt.splice(0, LEARNT_AT_ONCE))
			// oxlint-disable-next-line no-await-in-loop -- mostly there is nothing to wait for
			await learnOne(kept, one, secret);
		// oxlint-disable-next-line no-await-in-loop -- lets others go first
		if (left > LEARNT_AT_ONCE) await wait(0);
	}
}

async function learnOne(kept: Kept, { of, outcomes }: Unlearnt, secret: string): Promise<void> {
	const { environment, route } = of;
	try {
		keep(kept, environment, route.key, await pointsFor(of, outcomes, secret));
	} catch (error) {
		log("measurement_failed", { environment, route: route.key, error: String(error) });
	}
}

/** What learning takes. */
export type Learning = Pick<Edge, "gateway" | "sources" | "collector">;

/** Points of a user's request. */
async function pointsFor(of: Measured, outcomes: Outcomes, secret: string): Promise<Point[]> {
	const found = attributionsOf(of);
	const units: string[] = [];
	for (const { unit } of found) units.push(unit === "" ? "" : (knownUnit(unit, secret) ?? (await unitOf(unit, secret))));
	return pointsOf(of, outcomes, found, units);
}

function pointsOf(of: Measured, outcomes: Outcomes, found: readonly Attribution[], units: readonly string[]): Point[] {
	const { flag } = eventOf(of);
	return found.flatMap((each, i) =>
		outcomes.flatMap(([metric, value]) => pointsAt(each, units[i] ?? "", { id: null, metric, value, flag, first: i === 0 })),
	);
}

/**
 * Points of what the candidate answered besides, in a phase that serves it to nobody. The user has an arm already, and stores keep one for
 * each: whoever asks the candidate on their behalf counts as another.
 */
export async function comparedPoints(of: Measured, outcomes: Outcomes, secret: string): Promise<Point[]> {
	const event = eventOf(of);
	const compared = attributionsOf(of).filter(({ by, arm, flag }) => by?.shadow === true && arm === "control" && flag === of.route.flag);
	const points: Point[] = [];
	for (const each of compared) {
		const unit = await unitOf(`${each.unit}\nshadow`, secret);
		for (const [metric, value] of outcomes)
			points.push(
				...pointsAt(asCompared(of.snapshot, each), unit, { id: null, metric, value, flag: event.flag, first: points.length === 0 }),
			);
	}
	return points;
}

function attributionsOf(of: Measured) {
	const flags = flagsOf(of.route);
	return attribute(of.snapshot, of.overlay, eventOf(of), (flag) => flags.includes(flag));
}

/** A request belongs to a flag where the route evaluates no other. */
function eventOf({ route, context, atMs }: Measured) {
	const [only, ...others] = flagsOf(route);
	return { flag: others.length === 0 ? only : undefined, context, atMs };
}
