import { attribute } from "../core/flags/attribution";
import { METRICS, type Point } from "../core/telemetry";
import type { PointStore } from "../core/wire";
import { type Audience, isVisible } from "./audience";
import { BODY_BYTES_MAX, isJsonObject, readJson } from "./body";
import { type Outcome, readEvent } from "./event";
import { log } from "./log";
import { problem } from "./problem";
import { unitOf } from "./unit";
import { type Wait, within } from "./within";

/** What events need besides a snapshot. */
export interface Collector {
	readonly points: PointStore;
	/** The secret under which user keys are hashed; undefined or empty when nobody has set it. */
	readonly userHashKey: string | undefined;
	/** What stamps events; moved in development, real otherwise. */
	readonly nowMs: number;
	readonly wait: Wait;
}

const EVENTS_MAX = 500;
const RECORD_TIMEOUT_MS = 10_000;
const TRY_AGAIN = { "Retry-After": "5" };

/** 202 only once the store has every point of the batch: whoever gets anything else may send the same batch again. */
export async function collect(request: Request, audience: Audience, environment: string, to: Collector): Promise<Response> {
	if (!to.userHashKey) return problem(503, "Events need the edge's secret USER_HASH_KEY: set it with `wrangler secret put USER_HASH_KEY`.");
	const body = await readJson(request);
	if (!body.ok && body.error === "too_large") return problem(413, `The body is larger than ${BODY_BYTES_MAX} bytes: send smaller batches.`);
	const events = body.ok && isJsonObject(body.value) ? body.value["events"] : undefined;
	if (!Array.isArray(events)) return problem(400, 'The body is not {"events": […]} as JSON.');
	if (events.length > EVENTS_MAX) return problem(413, `${events.length} events > limit ${EVENTS_MAX} a batch: send smaller batches.`);

	const { accepted, rejected } = sort(events, audience, to.nowMs);
	const points = await pointsOf(accepted, audience, to.userHashKey);
	try {
		if (points.length > 0) await within(RECORD_TIMEOUT_MS, to.points.record(environment, points), to.wait);
	} catch (error) {
		log("events_not_recorded", { environment, points: points.length, error: String(error) });
		return problem(503, "The events could not be stored: send the same batch again, events with an id are not counted twice.", TRY_AGAIN);
	}
	return Response.json({ accepted: accepted.length, rejected }, { status: 202 });
}

interface Rejected {
	readonly index: number;
	readonly reason: string;
}

function sort(events: readonly unknown[], audience: Audience, nowMs: number): { accepted: Outcome[]; rejected: Rejected[] } {
	const accepted: Outcome[] = [];
	const rejected: Rejected[] = [];
	const ids = new Set<string>();
	const isFlag = (key: string): boolean => isVisible(audience, key);
	events.forEach((each, index) => {
		const event = readEvent(each, nowMs, isFlag);
		if (!event.ok) {
			rejected.push({ index, reason: event.error });
			return;
		}
		const { id } = event.value;
		// A repetition counts once. Repetitions across batches are the store's to find.
		if (id !== null && ids.has(id)) return;
		if (id !== null) ids.add(id);
		accepted.push(event.value);
	});
	return { accepted, rejected };
}

async function pointsOf(outcomes: readonly Outcome[], audience: Audience, userHashKey: string): Promise<Point[]> {
	const { snapshot, overlay } = audience.serving;
	const points: Point[] = [];
	const units = new Map<string, string>();
	for (const event of outcomes) {
		const attributions = attribute(snapshot, overlay, event, (flag) => isVisible(audience, flag));
		if (attributions.length === 0) continue;
		const { id, metric, value } = event;
		const harm = METRICS[metric].isHarm(value);
		for (const { unit: bucketed, ...attribution } of attributions) {
			const unit = units.get(bucketed) ?? (await unitOf(bucketed, userHashKey));
			units.set(bucketed, unit);
			points.push({ ...attribution, id, metric, unit, value, harm });
		}
	}
	return points;
}
