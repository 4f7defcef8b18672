import { err, ok, type Result } from "../core/result";
import type { SystemPoint } from "../core/telemetry";
import type { SdkKey } from "../core/wire";
import { BODY_BYTES_MAX, isJsonObject, readJson } from "./body";
import type { Collector } from "./events";
import { log } from "./log";
import { problem } from "./problem";
import { within } from "./within";

const METRICS_MAX = 50;
const ORIGIN = /^[A-Za-z0-9._:-]{1,63}$/;
const NAME = /^[a-z][a-z0-9_]{0,62}$/;
/** Whatever is measured, sums over a minute stay exact enough. */
const VALUE_MAX = 1e15;
const RECORD_TIMEOUT_MS = 10_000;
const TRY_AGAIN = { "Retry-After": "5" };

/** What an origin says of itself: 202 only once the store has all of it. A client key lies in public, and speaks for no origin. */
export async function collectSystem(
	request: Request,
	kind: SdkKey["kind"],
	environment: string,
	{ points: store, wait }: Pick<Collector, "points" | "wait">,
): Promise<Response> {
	if (kind !== "server") return problem(403, "A client key may lie in public: send an origin's measurements with a server key.");
	const body = await readJson(request);
	if (!body.ok && body.error === "too_large") return problem(413, `The body is larger than ${BODY_BYTES_MAX} bytes.`);
	const points = readPoints(body.ok ? body.value : undefined);
	if (!points.ok) return problem(400, points.error);
	try {
		if (points.value.length > 0) await within(RECORD_TIMEOUT_MS, store.recordSystem(environment, points.value), wait);
	} catch (error) {
		log("system_not_recorded", { environment, points: points.value.length, error: String(error) });
		return problem(503, "The measurements could not be stored: send newer ones in a moment.", TRY_AGAIN);
	}
	return Response.json({ accepted: points.value.length }, { status: 202 });
}

function readPoints(body: unknown): Result<SystemPoint[], string> {
	if (!isJsonObject(body)) return err('The body is not {"origin": "…", "metrics": {"cpu_percent": 43.5}} as JSON.');
	const { origin, metrics, ...others } = body;
	const [unknown] = Object.keys(others);
	if (unknown !== undefined) return err(`Unknown field ${quote(unknown)}: the fields are origin and metrics.`);
	if (typeof origin !== "string" || !ORIGIN.test(origin)) return err("origin takes 1 to 63 letters, digits and . _ : -");
	if (!isJsonObject(metrics)) return err('metrics takes an object of numbers, as in {"cpu_percent": 43.5}.');
	const entries = Object.entries(metrics);
	if (entries.length > METRICS_MAX) return err(`${entries.length} metrics > limit ${METRICS_MAX}.`);
	const points: SystemPoint[] = [];
	for (const [metric, value] of entries) {
		if (!NAME.test(metric))
			return err(`${quote(metric)} is no metric's name: take a lower-case letter, then letters, digits and _, at most 63.`);
		if (typeof value !== "number" || !(Math.abs(value) <= VALUE_MAX)) return err(`${metric} takes a number from -1e15 to 1e15.`);
		points.push({ origin, metric, value });
	}
	return ok(points);
}

/** What a client sent goes back shortened. */
function quote(text: string): string {
	return JSON.stringify(text.slice(0, 63));
}
