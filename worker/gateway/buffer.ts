import type { Point } from "../../core/telemetry";
import type { PointStore } from "../../core/wire";
import { log } from "../log";
import type { Sources } from "../sources";
import { TooManyPoints } from "../telemetry/tooManyPoints";
import { within } from "../within";
import type { Gathered, Kept } from "./gateway";

/** Points on their way to the store: gathered behind the answers, and sent by whoever finds them unsent. No answer waits for it. */

const POINTS_MAX = 2_000;
const RECORD_TIMEOUT_MS = 10_000;
/** A store that is given less time to answer would seldom do. */
const RECORD_MIN_MS = 1_000;

/** Keeps points until they are sent; what finds no room is lost, and counted. */
export function keep(kept: Kept, environment: string, route: string, points: readonly Point[]): void {
	for (const point of points) {
		const one = { environment, route, point };
		if (kept.points.length < POINTS_MAX) kept.points.push(one);
		else lose(kept, one);
	}
}

/** Of a rollout a number is kept, which goes with the next points; outside of one nobody waits for it. */
export function lose({ lost }: Kept, one: Gathered): void {
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

/** What one invocation sends: a store may take but so much of each. */
export interface Sending {
	readonly storeOf: (route: string) => PointStore;
	isFirst: boolean;
}

/** Sends what there is, as far as there is time; returns whether the store would take more. */
export async function send(kept: Kept, sending: Sending, endsMs: number, { now, wait }: Pick<Sources, "now" | "wait">): Promise<boolean> {
	const { storeOf } = sending;
	for (const { environment, route, point, count } of kept.lost.values())
		kept.points.push({ environment, route, point: lostPoint(point, count) });
	kept.lost.clear();
	for (let left = kept.points.length; left > 0; sending.isFirst = false) {
		const leftMs = endsMs - now();
		// What is not sent stays, for another request.
		if (leftMs < RECORD_MIN_MS) return false;
		const batch = takeBatch(kept, storeOf);
		left -= batch.length;
		const [{ environment, route } = { environment: "", route: "" }] = batch;
		try {
			const points = batch.map(({ point }) => point);
			// oxlint-disable-next-line no-await-in-loop -- one after the other: a store that is slow must not get all at once
			await within(Math.min(RECORD_TIMEOUT_MS, leftMs), storeOf(route).record(environment, points), wait);
		} catch (error) {
			const { isFirst } = sending;
			if (error instanceof TooManyPoints && !(isFirst && batch.length === 1)) {
				// Nothing of it was written, and another request has room for it; for less, where it had the room for itself.
				if (isFirst) kept.batchMax = Math.max(1, batch.length >> 1);
				kept.points.unshift(...batch);
				return false;
			}
			log("measurements_lost", { environment, points: batch.length, error: String(error) });
			for (const each of batch) lose(kept, each);
			return false;
		}
	}
	return true;
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
