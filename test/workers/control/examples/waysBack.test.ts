import { beforeAll, beforeEach, expect, test } from "vitest";
import feature from "../../../../examples/feature-rollback.yaml?raw";
import percentage from "../../../../examples/percentage.yaml?raw";
import targeted from "../../../../examples/targeted.yaml?raw";
import canary from "../../../../examples/canary.yaml?raw";
import { type FlagBody, auditOf, done, flagAt } from "../api/harness";
import { MINUTE_MS } from "../tick/fixtures";
import {
	applied,
	at,
	changesOf,
	commanded,
	daysPass,
	eventsOf,
	expectAudited,
	expectShares,
	harming,
	importFlags,
	isCompleted,
	live,
	sharesOf,
	shown,
	users,
} from "./town";

/** What harm leads to, by the way back that a plan chose. */

beforeAll(importFlags);
beforeEach(() => daysPass(2));

const isRolledBack = ({ status }: { readonly status: string }): boolean => status === "rolled_back";

test("feature: only the flag whose own guard fired goes back, and the others are completed", async () => {
	const { id } = await applied(feature);
	await commanded(id, "start");
	const flags = ["assistant-drafts", "assistant-search", "assistant-summaries"];
	const all = harming(({ flag }) => flag === "assistant-search", 0.05);
	const told: typeof all = (visit) => ({ error: all(visit).error ?? 0 });
	const scenes = await live({ id, flags, stepMs: 10 * MINUTE_MS, visits: 500, told, reports: flags }, isCompleted);
	expect((await changesOf(id)).map(([kind]) => kind)).toContain("drop_flags");
	expect((await eventsOf(id)).filter(({ kind }) => kind === "drop_flags")).toMatchObject([
		{ reason: "harm_proven", message: expect.stringMatching(/; assistant-search back on the baseline, the others go on$/) },
	]);
	expect(flags.map((flag) => sharesOf(scenes, flag).at(-1))).toEqual([100, 0, 100]);
	expect((await done<FlagBody>("GET", flagAt("assistant-search"))).fallthrough).toBe("false");
	expect((await auditOf("flags/production/assistant-search")).map(({ action }) => action)).toEqual(["flag.imported"]);
	await expectAudited(id);
});

test("targeted: the segment goes back, the rest goes on to the end", async () => {
	const { id } = await applied(targeted);
	await commanded(id, "start");
	const told = harming(({ user }) => user["group"] === "wholesale", 0.4);
	const scenes = await live({ id, flags: ["new-invoices"], stepMs: 10 * MINUTE_MS, visits: 500, told }, isCompleted);
	const kinds = (await changesOf(id)).map(([kind]) => kind);
	expect(kinds.filter((kind) => kind === "exclude")).toEqual(["exclude"]);
	expect(kinds.at(-1)).toBe("complete");
	const last = scenes.at(-1)?.candidates.get("new-invoices") ?? new Set();
	expect(users.filter((user, i) => last.has(i) === (user["group"] === "wholesale"))).toEqual([]);
});

test("version: everybody is back, and the flag has the version that the plan names", async () => {
	const path = flagAt("new-search");
	await done("PATCH", path, { body: { description: "Search by meaning, with facets" }, headers: { ...at(), "if-match": '"1"' } });
	const { id } = await applied(percentage, { rollback: { strategy: "version", versions: { "new-search": 1 } } });
	await commanded(id, "start");
	const told = harming(() => true, 0.05);
	const scenes = await live({ id, flags: ["new-search"], stepMs: 5 * MINUTE_MS, visits: 900, told }, isRolledBack);
	expect(sharesOf(scenes, "new-search").at(-1)).toBe(0);
	expect(await done<FlagBody>("GET", path)).toMatchObject({ description: "Search by meaning", version: 3 });
	expect((await auditOf("flags/production/new-search")).map(({ action }) => action)).toEqual([
		"flag.imported",
		"flag.changed",
		"flag.restored",
	]);
});

test("full: every active rollout of the environment goes back", async () => {
	await done("POST", "/api/v1/flags?environment=production", { body: { key: "bystander", type: "boolean" } });
	const other = await applied(canary, { rollout: "bystander", flags: ["bystander"] });
	await commanded(other.id, "start");
	const { id } = await applied(canary, { rollback: { strategy: "full" } });
	await commanded(id, "start", { fromPhase: "5" });
	const told = harming(({ user }) => Number(String(user.targetingKey).slice(5)) % 2 === 0, 0.07);
	await live({ id, flags: ["new-checkout"], stepMs: MINUTE_MS, visits: 900, told }, isRolledBack);
	expect(await shown(other.id)).toMatchObject({ status: "rolled_back" });
	expect((await changesOf(other.id)).map(([kind]) => kind)).toEqual(["start", "roll_back"]);
});

test("immediate: everybody is back with one change", async () => {
	const { id } = await applied(canary, { rollout: "immediately" });
	await commanded(id, "start", { fromPhase: "5" });
	const scenes = await live({ id, flags: ["new-checkout"], stepMs: MINUTE_MS, visits: 900, told: harming(() => true, 0.06) }, isRolledBack);
	expectShares(sharesOf(scenes, "new-checkout"), [50, 0]);
	expect((await changesOf(id)).map(([kind]) => kind)).toEqual(["start", "roll_back"]);
});
