import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import blueGreen from "../../../../examples/blue-green.yaml?raw";
import canary from "../../../../examples/canary.yaml?raw";
import compareFirst from "../../../../examples/compare-first.yaml?raw";
import { evaluate } from "../../../../core/flags/evaluate";
import { choose } from "../../../../core/gateway/routes";
import { tick } from "../../../../control/tick/tick";
import { auditOf, done } from "../api/harness";
import { MINUTE_MS, aTick } from "../tick/fixtures";
import {
	HOUR_MS,
	type Served,
	type Told,
	applied,
	at,
	calm,
	changesOf,
	commanded,
	daysPass,
	eventsOf,
	expectAudited,
	importFlags,
	isCompleted,
	live,
	now,
	served,
	shown,
	users,
} from "./town";

/** Plans that bring routes: where the requests of the town's users go. */

beforeAll(importFlags);
beforeEach(() => daysPass(2));

/** Origin → how many users' requests go there. */
function requestsOf({ snapshot, overlay }: Served, host: string, path = "/"): Readonly<Record<string, number>> {
	const choice = choose(snapshot.gateway(), host, path, "GET");
	if (choice.kind !== "route") throw new Error(`${host}${path}: ${choice.kind}`);
	const { flag = "", origins = {} } = choice.route;
	const counted: Record<string, number> = {};
	for (const user of users) {
		const { variant } = evaluate(snapshot, overlay, flag, user) as { readonly variant?: string };
		const origin = origins[variant ?? ""];
		const url = origin && "url" in origin ? origin.url : "nowhere";
		counted[url] = (counted[url] ?? 0) + 1;
	}
	return counted;
}

const BLUE = "https://blue.example.com";
const GREEN = "https://green.example.com";
const ALL = users.length;
const isRunning = ({ status }: { readonly status: string }): boolean => status === "running";
const passSmoke = () =>
	done("PUT", "/api/v1/checks/reports/green-smoke?environment=production", { body: { status: "passed" }, headers: at() });

/** Validated, switched, and watched for a while. */
async function switched(change: Record<string, unknown> = {}): Promise<string> {
	const { id } = await applied(blueGreen, change);
	await commanded(id, "start");
	await passSmoke();
	await live({ id, flags: ["green-stack"], stepMs: 5 * MINUTE_MS, visits: 300, told: calm }, isRunning);
	return id;
}

describe("blue-green", () => {
	test("takes everybody's requests from blue to green once green is validated, and back by an overlay that needs no new snapshot", async () => {
		const { id } = await applied(blueGreen);
		await commanded(id, "start");
		await tick(aTick(), now());
		expect(await shown(id)).toMatchObject({ status: "validating" });
		expect(requestsOf(await served(), "shop.example.com")).toEqual({ [BLUE]: ALL });

		await passSmoke();
		await live({ id, flags: ["green-stack"], stepMs: 5 * MINUTE_MS, visits: 300, told: calm }, isRunning);
		const green = await served();
		const split = requestsOf(green, "shop.example.com");
		// Some stay on blue until the end, so that there is something to compare with.
		expect(split[GREEN]).toBeGreaterThan(0.92 * ALL);
		expect((split[GREEN] ?? 0) + (split[BLUE] ?? 0)).toBe(ALL);

		await commanded(id, "roll_back", { reason: "customers call" });
		const [back, overlaid] = await Promise.all([shown(id), served()]);
		expect(back.status).toBe("rolled_back");
		// The body that edges hold already, under the head's overlay.
		expect(requestsOf({ ...overlaid, version: green.version, snapshot: green.snapshot }, "shop.example.com")).toEqual({ [BLUE]: ALL });
		await tick(aTick(), now() + MINUTE_MS);
		const after = await served();
		expect(after.version).toBeGreaterThan(green.version);
		expect(requestsOf({ ...after, overlay: { kill: new Map(), baseline: new Map() } }, "shop.example.com")).toEqual({ [BLUE]: ALL });
		await expectAudited(id);
		expect((await auditOf("routes/production/green-stack")).map(({ action }) => action)).toEqual(["route.created"]);
	});

	test("leaves everybody on green at its end, those too who were kept on blue, and the route as it is", async () => {
		const id = await switched();
		await live({ id, flags: ["green-stack"], stepMs: 5 * MINUTE_MS, visits: 300, told: calm }, isCompleted);
		expect(requestsOf(await served(), "shop.example.com")).toEqual({ [GREEN]: ALL });
		await done("PATCH", "/api/v1/flags/green-stack?environment=production", {
			body: { fallthrough: "blue" },
			headers: { ...at(), "if-match": '"2"' },
		});
		await tick(aTick(), now() + MINUTE_MS);
		expect(requestsOf(await served(), "shop.example.com")).toEqual({ [BLUE]: ALL });
	});
});

test("full: the requests of every route go back to their stable origins", async () => {
	const id = await switched();
	await done("POST", "/api/v1/flags?environment=production", { body: { key: "beside", type: "boolean" }, headers: at() });
	const other = await applied(canary, {
		rollout: "beside",
		flags: ["beside"],
		routes: [{ key: "beside", host: "beside.example.com", origins: { false: BLUE, true: GREEN } }],
	});
	await commanded(other.id, "start");
	await tick(aTick(), now() + MINUTE_MS);
	const before = await served();
	for (const host of ["shop.example.com", "beside.example.com"]) expect(requestsOf(before, host)[GREEN]).toBeGreaterThan(0);

	await commanded(other.id, "roll_back", { reason: "everything fails", strategy: "full" });
	await tick(aTick(), now() + 2 * MINUTE_MS);
	expect([await shown(id), await shown(other.id)]).toMatchObject([{ status: "rolled_back" }, { status: "rolled_back" }]);
	const after = await served();
	for (const host of ["shop.example.com", "beside.example.com"]) expect(requestsOf(after, host)).toEqual({ [BLUE]: ALL });
	await Promise.all([expectAudited(id), expectAudited(other.id)]);
});

describe("compare-first", () => {
	const LEGACY = "https://legacy.example.com";
	const town = (id: string) => ({ id, flags: ["new-ephemeris"], stepMs: HOUR_MS, visits: 300, told: calm });
	const alike: Told = ({ random }) => ({ discrepancy: 0, error: 0, latency_ms: 150 + 300 * random() });
	const positions = async () => requestsOf(await served(), "ephemeris.example.com", "/positions/sun");

	test("serves nobody the candidate while it compares, and goes live after a day without a single discrepancy", async () => {
		const { id, plan } = await applied(compareFirst);
		expect(plan).toMatchObject({ phases: [{ name: "compare", percent: 0, shadow: true }, { percent: 10 }, { percent: 100 }] });
		expect(await commanded(id, "start")).toMatchObject({ status: "running", phase: "compare", percent: 0 });
		await live({ ...town(id), compared: alike }, () => true);
		expect(await positions()).toEqual({ [LEGACY]: ALL });
		await live({ ...town(id), compared: alike }, ({ phase }) => phase !== "compare");
		const [, advanced] = await changesOf(id);
		expect(advanced).toEqual(["advance", 24 * 60]);
		const live10 = await positions();
		expect(live10[LEGACY]).toBeLessThan(0.92 * ALL);
		await live({ ...town(id), compared: alike }, isCompleted);
		expect(await positions()).toEqual({ "https://new.example.com": ALL });
		await expectAudited(id);
	});

	test("stays where it is for one discrepancy, says so, and nobody has met it", async () => {
		const flag = { key: "newer-ephemeris", type: "boolean" };
		await done("POST", "/api/v1/flags?environment=production", { body: flag, headers: at() });
		const { id } = await applied(compareFirst, { rollout: "newer-ephemeris", flags: [flag.key], routes: [] });
		const route = {
			key: "newer",
			host: "newer.example.com",
			flag: flag.key,
			origins: { false: LEGACY, true: GREEN },
			shadow: { variant: "true" },
		};
		await done("POST", "/api/v1/gateway/routes?environment=production", { body: route, headers: at() });
		await commanded(id, "start");
		let met = 0;
		const one: Told = (visit) => ({ ...alike(visit), discrepancy: Number(met++ === 100) });
		const from = now();
		await live({ ...town(id), flags: [flag.key], compared: one }, () => now() >= from + 48 * HOUR_MS);
		const { status, phase, health } = await shown(id);
		expect({ status, phase }).toEqual({ status: "running", phase: "compare" });
		expect(health).toMatchObject({ reason: "criterion_unmet", message: expect.stringContaining("discrepancy_rate <= 0%") });
		expect((await eventsOf(id)).map(({ kind }) => kind)).toEqual(["start"]);
		expect(requestsOf(await served(), "newer.example.com")).toEqual({ [LEGACY]: ALL });
	});
});
