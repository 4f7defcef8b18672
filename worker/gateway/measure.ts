import { attribute } from "../../core/flags/attribution";
import type { Context } from "../../core/flags/match";
import type { ActiveOverlay } from "../../core/flags/overlay";
import type { Snapshot } from "../../core/flags/ruleset";
import type { PackedRoute } from "../../core/gateway/packed";
import type { Point } from "../../core/telemetry";
import type { PointStore } from "../../core/wire";
import { log } from "../log";
import { asCompared, pointsAt } from "../points";
import type { Sources } from "../sources";
import { TooManyPoints } from "../telemetry/tooManyPoints";
import { unitOf } from "../unit";
import { within } from "../within";
import { flagsOf } from "./assign";
import type { Gateway, Gathered, Kept } from "./gateway";
import { inTurn } from "./turn";

/** Outcomes of requests as evidence: gathered behind the answers, and sent by whoever finds them unsent. No answer waits for it. */

const POINTS_MAX = 2_000;
const RECORD_TIMEOUT_MS = 10_000;

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

/** By the route, which is a snapshot's own: asked with every request, and answered once. */
const measuredRoutes = new WeakMap<PackedRoute, boolean>();

/** Whether an outcome of the route is evidence of anything. */
export function isMeasured(route: PackedRoute, snapshot: Snapshot): boolean {
	let found = measuredRoutes.get(route);
	if (found === undefined) {
		const { rollouts, flags } = snapshot.measured();
		found = flagsOf(route).some((key) => flags.includes(key) || rollouts.some((each) => each.flags.includes(key)));
		measuredRoutes.set(route, found);
	}
	return found;
}

/** Points of a user's request. */
export async function pointsFor(of: Measured, outcomes: Outcomes, secret: string): Promise<Point[]> {
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

/** Where points go, and how one who has them proceeds. */
export interface Recorder {
	readonly gateway: Gateway;
	readonly sources: Sources;
}

/** Keeps points until they are sent; what finds no room is lost, and counted. */
export async function record({ gateway, sources }: Recorder, environment: string, route: string, points: readonly Point[]): Promise<void> {
	const { kept } = gateway;
	for (const point of points) {
		const one = { environment, route, point };
		if (kept.points.length < POINTS_MAX) kept.points.push(one);
		else lose(kept, one);
	}
	await inTurn(kept.pointsTurn, gateway.flushAfterMs, sources, () => send(gateway, sources));
}

/** Of a rollout a number is kept, which goes with the next points; outside of one nobody waits for it. */
function lose({ lost }: Kept, one: Gathered): void {
	const { environment, point } = one;
	const count = point.metric === LOST ? point.value : 1;
	const name = `${environment}/${point.rollout}`;
	const known = lost.get(name);
	if (known) known.count += count;
	else if (point.rollout !== "") lost.set(name, { ...one, count });
}

const LOST = "lost";

/** Evidence that is missing, where the rollout's people see it: a point that counts for nothing, and says how many did not arrive. */
function lostPoint({ rollout, stage, served }: Point, value: number): Point {
	const nobody = { arm: "unattributed", flag: "", variant: "", unit: "" } as const;
	return { id: null, rollout, stage, served, ...nobody, metric: LOST, value, harms: [], scored: false, first: true };
}

async function send({ kept, points: open }: Gateway, { colo, wait }: Sources): Promise<void> {
	const storeOf = open(colo());
	for (const { environment, route, point, count } of kept.lost.values())
		kept.points.push({ environment, route, point: lostPoint(point, count) });
	kept.lost.clear();
	while (kept.points.length > 0) {
		const batch = takeBatch(kept, storeOf);
		const [{ environment, route } = { environment: "", route: "" }] = batch;
		try {
			const points = batch.map(({ point }) => point);
			// oxlint-disable-next-line no-await-in-loop -- one after the other: a store that is slow must not get all at once
			await within(RECORD_TIMEOUT_MS, storeOf(route).record(environment, points), wait);
		} catch (error) {
			if (error instanceof TooManyPoints && batch.length > 1) {
				// Nothing of it was written: another request has room for it.
				kept.batchMax = Math.max(1, Math.min(kept.batchMax, batch.length) >> 1);
				kept.points.unshift(...batch);
				return;
			}
			log("measurements_lost", { environment, points: batch.length, error: String(error) });
			for (const each of batch) lose(kept, each);
			return;
		}
	}
}

/** Takes what goes to the same place as the first. */
function takeBatch(kept: Kept, storeOf: (route: string) => PointStore): readonly Gathered[] {
	const [first] = kept.points;
	const batch: Gathered[] = [];
	const rest: Gathered[] = [];
	for (const each of kept.points) {
		const isAlike = each.environment === first?.environment && storeOf(each.route) === storeOf(first.route);
		(isAlike && batch.length < kept.batchMax ? batch : rest).push(each);
	}
	kept.points = rest;
	return batch;
}
