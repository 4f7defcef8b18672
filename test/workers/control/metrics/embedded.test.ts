import { env } from "cloudflare:workers";
import { embedded, recordPoints } from "../../../../control/metrics/embedded";
import { recordSystem } from "../../../../control/metrics/embeddedSystem";
import { describeMetricsSource } from "./contract";

describeMetricsSource("embedded", {
	source: embedded(env.DB),
	record: (points, { environment, atMs }) => recordPoints(env.DB, environment, points, atMs),
	recordSystem: (points, { environment, atMs }) => recordSystem(env.DB, environment, points, atMs),
	delayMs: 60_000,
	deduplicates: true,
	keepsOrder: true,
});
