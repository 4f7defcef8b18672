import { attribute } from "../../core/flags/attribution";
import type { Context } from "../../core/flags/match";
import type { ActiveOverlay } from "../../core/flags/overlay";
import type { Snapshot } from "../../core/flags/ruleset";
import type { PackedRoute } from "../../core/gateway/packed";
import { unscopedMetric } from "../../core/metric";
import type { Point } from "../../core/telemetry";
import { log } from "../log";
import { asCompared, pointsAt } from "../points";
import type { Edge } from "../router";
import { unitOf } from "../unit";
import { flagsOf } from "./assign";
import { record } from "./buffer";

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

/** Behind the answer. Never rejects. */
export async function learn(of: Measured, outcomes: Outcomes, { gateway, sources, collector }: Learning): Promise<void> {
	if (outcomes.length === 0) return;
	const { route, environment } = of;
	const { userHashKey } = collector;
	try {
		if (userHashKey) await record({ gateway, sources }, environment, route.key, await pointsFor(of, outcomes, userHashKey));
		else if (!gateway.kept.isWarned) {
			gateway.kept.isWarned = true;
			log("gateway_unmeasured", { reason: "the secret USER_HASH_KEY is not set" });
		}
	} catch (error) {
		log("measurement_failed", { environment, route: route.key, error: String(error) });
	}
}

/** What learning takes. */
export type Learning = Pick<Edge, "gateway" | "sources" | "collector">;

/** Points of a user's request. */
async function pointsFor(of: Measured, outcomes: Outcomes, secret: string): Promise<Point[]> {
	const { flag } = eventOf(of);
	const found = attributionsOf(of);
	const points: Point[] = [];
	for (const [i, each] of found.entries()) {
		const unit = each.unit === "" ? "" : await unitOf(each.unit, secret);
		for (const [metric, value] of outcomes) points.push(...pointsAt(each, unit, { id: null, metric, value, flag, first: i === 0 }));
	}
	return points;
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
