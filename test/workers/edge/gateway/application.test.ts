import { describe, expect, test } from "vitest";
import type { Compared } from "../../../../core/wire";
import { CLIENT_KEY, SDK_KEY } from "../fixture";
import { down } from "../harness";
import { aShop, candidate } from "./town";

const sample = { input: { q: "natal" }, legacy: { price: 1 }, candidate: { price: 2 } };
const anEvent = (change: Record<string, unknown> = {}) => ({
	targetingKey: candidate,
	flag: "green",
	metric: "discrepancy",
	value: true,
	...change,
});
type Shop = Awaited<ReturnType<typeof aShop>>;
const all = (shop: Shop): Compared[] => shop.compared.flatMap(({ compared }) => compared);
const rejected = async (answer: Response): Promise<unknown> => (await answer.json<{ rejected: unknown }>()).rejected;

describe("an application that compares by itself", () => {
	test("has its comparisons in its flag's report, those that agree and those that do not, with a sample of these", async () => {
		const shop = await aShop();
		const events = [anEvent({ sample }), anEvent({ value: false, sample }), anEvent({ value: false }), anEvent({ flag: "banner" })];
		expect((await shop.post("/v1/events", { events })).status).toBe(202);
		const none = { errors: 0, legacyMs: 0, candidateMs: 0, timed: 0 };
		expect(shop.compared).toEqual([
			{
				environment: "production",
				compared: [
					{
						subject: "flag/green",
						phase: "phase_1",
						queries: 3,
						discrepancies: 1,
						...none,
						samples: [{ input: '{"q":"natal"}', legacy: '{"price":1}', candidate: '{"price":2}', differences: [] }],
					},
					{ subject: "flag/banner", phase: "", queries: 1, discrepancies: 1, ...none, samples: [] },
				],
			},
		]);
		expect(shop.points().filter(({ rollout }) => rollout === "to-green")).toHaveLength(3);
	});

	test("tells no secret: neither headers', nor what the flag's route redacts, nor more than fits", async () => {
		const shop = await aShop({ route: { shadow: { variant: "true", compare: { redact: ["$.card"] } } } });
		const secret = { card: "secret", headers: { Authorization: "secret", "Set-Cookie": "secret" }, text: "x".repeat(9_000) };
		const events = [
			anEvent({ sample: { input: { cookie: "secret" }, legacy: secret, candidate: secret } }),
			anEvent({ sample: { input: "", legacy: "a secret text", candidate: "DEEP" } }),
		];
		const deep = `${"[".repeat(12_000)}${"]".repeat(12_000)}`;
		expect((await shop.post("/v1/events", JSON.stringify({ events }).replace('"DEEP"', deep))).status).toBe(202);
		const { samples = [] } = all(shop)[0] ?? {};
		expect(samples).toHaveLength(2);
		expect(JSON.stringify(samples)).not.toContain("secret");
		for (const each of samples) expect(JSON.stringify(each).length).toBeLessThanOrEqual(16 * 1_024);
	});

	test.each<[string, Record<string, unknown>, string]>([
		["of another metric", { metric: "error", sample }, "sample goes with the metric discrepancy alone"],
		["without a flag", { flag: undefined, sample }, "sample needs the flag whose variants were compared"],
		["that lacks something", { sample: { input: 1, legacy: 2 } }, "sample takes an object of input, legacy, candidate"],
		["that has more", { sample: { ...sample, cookie: 1 } }, "sample takes an object of input, legacy, candidate"],
		["that is none", { sample: "x" }, "sample takes an object of input, legacy, candidate"],
	])("has a sample %s rejected, with the reason", async (_, change, reason) => {
		const shop = await aShop();
		expect(await rejected(await shop.post("/v1/events", { events: [anEvent(change)] }))).toEqual([{ index: 0, reason }]);
		expect(shop.compared).toEqual([]);
	});

	test("sends samples with a server key: a client key lies in public", async () => {
		const shop = await aShop({ flag: { public: true } });
		const answer = await shop.post("/v1/events", { events: [anEvent({ sample }), anEvent()] }, { Authorization: `Bearer ${CLIENT_KEY}` });
		expect(await rejected(answer)).toEqual([{ index: 0, reason: "a client key may lie in public: send samples with a server key" }]);
		expect(all(shop)).toMatchObject([{ queries: 1, samples: [] }]);
	});

	test("has an event that is sent again counted once, and none without its id told apart", async () => {
		const shop = await aShop();
		const heard = new Set<string>();
		shop.parts.unheard = async (environment, ids) => ids.filter((id) => !heard.has(environment + id) && heard.add(environment + id));
		const events = [anEvent({ id: "a" }), anEvent({ id: "b" })];
		await shop.post("/v1/events", { events });
		await shop.post("/v1/events", { events: [...events, anEvent({ id: "c" })] });
		await shop.post("/v1/events", { events });
		expect(all(shop).map(({ queries }) => queries)).toEqual([2, 1]);
		shop.parts.unheard = down;
		await shop.post("/v1/events", { events: [anEvent({ id: "d" }), anEvent()] });
		expect(all(shop).map(({ queries }) => queries)).toEqual([2, 1, 1]);
	});

	test("is told of nothing that no store has, so that the same batch may come again", async () => {
		const shop = await aShop();
		const { record } = shop.parts;
		shop.parts.record = down;
		expect((await shop.post("/v1/events", { events: [anEvent({ sample })] })).status).toBe(503);
		expect(shop.compared).toEqual([]);
		shop.parts.record = record;
		shop.parts.compare = down;
		const again = await shop.post("/v1/events", { events: [anEvent({ sample })] }, { Authorization: `Bearer ${SDK_KEY}` });
		expect(again.status).toBe(202);
	});
});
