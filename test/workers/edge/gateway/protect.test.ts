import { describe, expect, test } from "vitest";
import { packProtection, protection } from "../../../../core/gateway/model";
import type { PackedProtection } from "../../../../core/gateway/packed";
import { aShop, candidate, control, SHOP } from "./town";

const HOUR_MS = 3_600_000;
const until = (): string => new Date(Date.now() + HOUR_MS).toISOString();
const aProtection = (change: Record<string, unknown>): PackedProtection =>
	packProtection(protection.parse({ key: "p", until: until(), ...change }));
const shed = (change: Record<string, unknown> = {}): PackedProtection => aProtection({ kind: "shed", share: 100, ...change });
const to = (key: string, path: string, more: Record<string, unknown> = {}) => ({ key, path, ...more });

describe("shedding load", () => {
	test("refuses a share of the requests, and says when to come back; the origin hears nothing of them", async () => {
		const shop = await aShop({ protections: [shed({ share: 40 })] });
		const statuses: number[] = [];
		for (let i = 0; i < 100; i++) {
			shop.parts.draw = i / 100;
			const answer = await shop.get(control);
			statuses.push(answer.status);
			if (answer.status === 503) expect(answer.headers.get("retry-after")).toBe("5");
		}
		expect(statuses.filter((status) => status === 503)).toHaveLength(40);
		expect(shop.asked).toHaveLength(60);
	});

	test("begins with what matters least, and spares exempt routes, health, and listed paths", async () => {
		const routes = [
			to("low", "/low", { priority: 2 }),
			to("high", "/*", { priority: 7 }),
			to("never", "/pay", { priority: 0, exempt: true }),
		];
		const statusOf = async (protections: PackedProtection[], path: string): Promise<number> =>
			(await (await aShop({ routes, protections })).get(control, path)).status;
		expect(await statusOf([shed({ upTo: 5 })], "/low")).toBe(503);
		expect(await statusOf([shed({ upTo: 5 })], "/cart")).toBe(200);
		expect(await statusOf([shed({ upTo: 9 })], "/cart")).toBe(503);
		for (const path of ["/pay", "/.tidegate/health", "/health", "/health/db", "/healthz", "/readyz"])
			expect(await statusOf([shed({ upTo: 9 })], path), path).toBe(200);
		const listed = [shed({ upTo: 9, exempt: ["/hooks/:id"] })];
		expect(await statusOf(listed, "/hooks/1")).toBe(200);
		expect(await statusOf(listed, "/hooks/1/x")).toBe(503);
		expect(await statusOf(listed, "/health")).toBe(503);
	});

	test("ends by itself, by real time, and is for its own host alone", async () => {
		const shop = await aShop({ protections: [shed({ upTo: 9 })] });
		expect((await shop.get(control)).status).toBe(503);
		shop.later(HOUR_MS);
		expect((await shop.get(control)).status).toBe(200);
		const other = await aShop({ protections: [shed({ upTo: 9, host: "other.example" })] });
		expect((await other.get(control)).status).toBe(200);
	});
});

describe("a lock down", () => {
	test("lets the listed segments in, nobody else, and nobody where a segment cannot be read", async () => {
		const shop = await aShop({ protections: [aProtection({ kind: "lock_down", segments: ["crew"] })] });
		expect((await shop.get(control)).status).toBe(403);
		expect((await shop.get(control, "/", { headers: { "x-crew": "yes" } })).status).toBe(200);
		const broken = await aShop({ protections: [aProtection({ kind: "lock_down", segments: ["missing"] })] });
		expect((await broken.get(control, "/", { headers: { "x-crew": "yes" } })).status).toBe(403);
		expect((await shop.send(`${SHOP}/.tidegate/health`)).status).toBe(200);
	});
});

describe("an isolation", () => {
	test("pins a segment to the baseline, everybody where it cannot be read, and what they do is no evidence", async () => {
		const shop = await aShop({ protections: [aProtection({ kind: "isolate", segments: ["crew"] })] });
		expect(await (await shop.get(candidate, "/", { headers: { "x-crew": "yes" } })).text()).toBe("blue");
		expect(shop.points()).toEqual([]);
		expect(await (await shop.get(candidate)).text()).toBe("green");
		const broken = await aShop({ protections: [aProtection({ kind: "isolate", segments: ["missing"] })] });
		expect(await (await broken.get(candidate)).text()).toBe("blue");
	});
});
