import { env, exports } from "cloudflare:workers";
import { type MockInstance, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EdgeSeen, HeadSource } from "../../../../core/wire";
import { pruneEdges, recordEdge, servingEdges } from "../../../../control/store/edges";
import { readHead } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { aTick, db } from "../tick/fixtures";

const NOW = 1_800_000_000_000;
const seen = (change: Partial<EdgeSeen> = {}): EdgeSeen => ({ isolate: "one", colo: "ZRH", revision: 7, ...change });
const rows = async () =>
	(
		await env.DB.prepare("SELECT isolate, revision, seen_at_ms AS atMs FROM edges ORDER BY isolate").all<{
			isolate: string;
			revision: number;
			atMs: number;
		}>()
	).results;

let warn: MockInstance<typeof console.warn>;
beforeEach(async () => {
	warn = vi.spyOn(console, "warn").mockImplementation(() => {});
	await env.DB.prepare("DELETE FROM edges").run();
});
afterEach(async () => {
	vi.restoreAllMocks();
	await env.DB.prepare("DROP TRIGGER IF EXISTS full").run();
});

describe("an isolate of the edge", () => {
	test("is written when its revision grows, or after a minute, and not otherwise", async () => {
		for (const [revision, atMs] of [
			[7, 0],
			[7, 5_000],
			[8, 10_000],
			[8, 69_000],
			[8, 71_000],
		] as const)
			await recordEdge(db, seen({ revision }), NOW + atMs); // oxlint-disable-line no-await-in-loop -- in this order
		expect(await rows()).toEqual([{ isolate: "one", revision: 8, atMs: NOW + 71_000 }]);
		await recordEdge(db, seen({ revision: 8 }), NOW + 80_000);
		expect((await rows())[0]?.atMs).toBe(NOW + 71_000);
	});

	test("never goes back when a question of before arrives late", async () => {
		await recordEdge(db, seen({ revision: 9 }), NOW);
		await recordEdge(db, seen({ revision: 7 }), NOW + 90_000);
		expect(await rows()).toEqual([{ isolate: "one", revision: 9, atMs: NOW + 90_000 }]);
	});

	test("counts as serving for two minutes, and is forgotten after an hour", async () => {
		await recordEdge(db, seen(), NOW);
		expect(await servingEdges(db, NOW + 120_000)).toEqual([seen()]);
		expect(await servingEdges(db, NOW + 120_001)).toEqual([]);
		await pruneEdges(db, NOW + 3_600_000);
		expect(await rows()).toHaveLength(1);
		await pruneEdges(db, NOW + 3_600_001);
		expect(await rows()).toEqual([]);
	});

	test.each([
		["no name", { isolate: "" }],
		["an endless name", { isolate: "x".repeat(65) }],
		["an endless place", { colo: "x".repeat(17) }],
		["a revision that is no number", { revision: "9" as unknown as number }],
		["a revision below zero", { revision: -1 }],
	])("with %s is not written", async (_, change) => {
		await recordEdge(db, seen(change), NOW);
		expect(await rows()).toEqual([]);
		expect(warn).toHaveBeenCalledWith('{"event":"edge_not_recorded","error":"what it says of itself cannot be read"}');
	});
});

describe("control's head", () => {
	// The entrypoint that the edge is bound to.
	const source = (exports as unknown as { Head: HeadSource }).Head;

	test("is answered to whoever asks, and who that is is written behind the answer", async () => {
		await tick(aTick(), NOW);
		const { head } = await readHead(db);
		expect(await source.head(seen())).toEqual(head);
		await vi.waitFor(async () => expect(await rows()).toMatchObject([{ isolate: "one", revision: 7 }]));
		expect(await source.head()).toEqual(head);
		expect(await rows()).toHaveLength(1);
	});

	test("is answered although nothing can be written", async () => {
		await env.DB.prepare("CREATE TRIGGER full BEFORE INSERT ON edges BEGIN SELECT RAISE(ABORT, 'the database is full'); END").run();
		expect(await source.head(seen())).toHaveProperty("revision");
		expect(await rows()).toEqual([]);
	});
});
