import { attribute } from "../core/flags/attribution";
import type { Point } from "../core/telemetry";
import type { PointStore } from "../core/wire";
import { type Audience, isVisible } from "./audience";
import { BODY_BYTES_MAX, isJsonObject, readJson } from "./body";
import { type Told, comparingOf } from "./compared";
import { type Outcome, metricShapes, readEvent } from "./event";
import { log } from "./log";
import { asCompared, pointsAt } from "./points";
import { problem } from "./problem";
import { TooManyPoints } from "./telemetry/tooManyPoints";
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
/** An event is a point in each of its rollouts and measured flags. More than this no store takes within its time. */
const POINTS_MAX = 5_000;
const TRY_AGAIN = { "Retry-After": "5" };

/**
 * 202 only once the store has every point of the batch: whoever gets anything else may send the same batch again. `tell` hears then of what an
 * application has compared.
 */
export async function collect(
	request: Request,
	audience: Audience,
	environment: string,
	to: Collector,
	tell: (found: readonly Told[]) => void,
): Promise<Response> {
	if (!to.userHashKey) return problem(503, "Events need the edge's secret USER_HASH_KEY: set it with `wrangler secret put USER_HASH_KEY`.");
	const body = await readJson(request);
	if (!body.ok && body.error === "too_large") return problem(413, `The body is larger than ${BODY_BYTES_MAX} bytes: send smaller batches.`);
	const events = body.ok && isJsonObject(body.value) ? body.value["events"] : undefined;
	if (!Array.isArray(events)) return problem(400, 'The body is not {"events": […]} as JSON.');
	if (events.length > EVENTS_MAX) return problem(413, `${events.length} events > limit ${EVENTS_MAX} a batch: send smaller batches.`);

	const { accepted, rejected } = sort(events, audience, to.nowMs);
	const points = await pointsOf(accepted, audience, to.userHashKey);
	if (points === "too_many") return tooMany(POINTS_MAX);
	try {
		if (points.length > 0) await within(RECORD_TIMEOUT_MS, to.points.record(environment, points), to.wait);
	} catch (error) {
		if (error instanceof TooManyPoints) return tooMany(error.limit);
		log("events_not_recorded", { environment, points: points.length, error: String(error) });
		return problem(503, "The events could not be stored: send the same batch again, events with an id are not counted twice.", TRY_AGAIN);
	}
	const compared = comparingOf(accepted, audience.serving.snapshot);
	if (compared.length > 0) tell(compared);
	return Response.json({ accepted: accepted.length, rejected }, { status: 202 });
}

function tooMany(limit: number): Response {
	return problem(
		413,
		`The batch makes more than the ${limit} points that the store takes at once: nothing of it was stored, send smaller batches, or name the flag of each event.`,
	);
}

interface Rejected {
	readonly index: number;
	readonly reason: string;
}

function sort(events: readonly unknown[], audience: Audience, nowMs: number): { accepted: Outcome[]; rejected: Rejected[] } {
	const accepted: Outcome[] = [];
	const rejected: Rejected[] = [];
	const ids = new Set<string>();
	const known = {
		isFlag: (key: string): boolean => isVisible(audience, key),
		metrics: metricShapes(audience.serving.snapshot.measured().metrics),
	};
	events.forEach((each, index) => {
		const event = readEvent(each, nowMs, known);
		if (!event.ok) {
			rejected.push({ index, reason: event.error });
			return;
		}
		const { id, sample } = event.value;
		if (sample && audience.kind !== "server") {
			rejected.push({ index, reason: "a client key may lie in public: send samples with a server key" });
			return;
		}
		// A repetition counts once. Repetitions across batches are the store's to find.
		if (id !== null && ids.has(id)) return;
		if (id !== null) ids.add(id);
		accepted.push(event.value);
	});
	return { accepted, rejected };
}

async function pointsOf(outcomes: readonly Outcome[], audience: Audience, userHashKey: string): Promise<Point[] | "too_many"> {
	const { snapshot, overlay } = audience.serving;
	const points: Point[] = [];
	const units = new Map<string, string>();
	for (const event of outcomes) {
		// What would be refused is not worked out.
		if (points.length > POINTS_MAX) return "too_many";
		const attributions = attribute(snapshot, overlay, event, (flag) => isVisible(audience, flag));
		for (const [i, each] of attributions.entries()) {
			const bucketed = each.unit;
			// Nobody in particular: a user who is not known is not hashed.
			const unit = bucketed === "" ? "" : (units.get(bucketed) ?? (await unitOf(bucketed, userHashKey)));
			units.set(bucketed, unit);
			const place = event.metric === "discrepancy" ? asCompared(snapshot, each) : each;
			points.push(...pointsAt(place, unit, { ...event, first: i === 0 }));
		}
	}
	return points.length > POINTS_MAX ? "too_many" : points;
}
