import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EVENTS } from "../../../../core/notify/events";
import { type Delivered, START_MS, answered, deliverAt, forgetAll, happened, receivers } from "../notify/fixtures";
import { auditOf, auditRows, done, pointersOf, refused, send } from "./harness";

interface WebhookBody {
	readonly id: string;
	readonly url: string;
	readonly events: readonly string[];
	readonly environment: string | null;
	readonly description: string;
	readonly disabled: { readonly atMs: number; readonly by: string } | null;
	readonly oldSecretsUntilMs: readonly number[];
	readonly pending: number;
	readonly deadLetters: number;
	readonly createdAtMs: number;
	readonly updatedAtMs: number;
	readonly secret?: string;
}
interface DeliveryBody {
	readonly id: string;
	readonly type: string;
	readonly subject: string;
	readonly status: string;
	readonly attempts: number;
	readonly nextAttemptAtMs: number | null;
	readonly error: string | null;
}

const WEBHOOKS = "/api/v1/webhooks";
const at = (id: string, rest = ""): string => `${WEBHOOKS}/${id}${rest}`;
const aWebhook = (change: Record<string, unknown> = {}) => ({ url: "https://hooks.example.com/tidegate", ...change });
const create = (change: Record<string, unknown> = {}) =>
	done<WebhookBody & { readonly secret: string }>("POST", WEBHOOKS, { body: aWebhook(change) });
const one = (id: string) => done<WebhookBody & { readonly deliveries: readonly DeliveryBody[] }>("GET", at(id));
const list = () => done<{ webhooks: WebhookBody[]; damaged: string[] }>("GET", WEBHOOKS);
const to = (url: string) => (request: Delivered) => request.to === new URL(url).hostname.replace(".example.com", "");

beforeEach(async () => {
	vi.spyOn(console, "warn").mockImplementation(() => {});
	await forgetAll();
});
afterEach(() => vi.restoreAllMocks());

describe("a subscriber", () => {
	test("is created with what was not said filled in, and audited; its secret is in that answer only", async () => {
		const { status, body } = await send<WebhookBody & { secret: string }>("POST", `${WEBHOOKS}?reason=pager`, { body: aWebhook() });
		const config = { url: "https://hooks.example.com/tidegate", events: ["*"], environment: null, description: "", disabled: null };
		const { secret, ...shown } = body;
		expect(status).toBe(201);
		expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
		expect(shown).toEqual({
			...config,
			id: expect.stringMatching(/^[0-9a-f]{18}$/),
			oldSecretsUntilMs: [],
			pending: 0,
			deadLetters: 0,
			createdAtMs: expect.any(Number),
			updatedAtMs: expect.any(Number),
		});
		expect(await auditOf(`webhooks/${body.id}`)).toMatchObject([
			{ action: "webhook.created", actor: "admin", reason: "pager", before: null, after: config },
		]);
		expect(await list()).toEqual({ webhooks: [shown], damaged: [] });
		expect(await one(body.id)).toEqual({ ...shown, deliveries: [] });
	});

	test.each<[what: string, change: Record<string, unknown>, pointer: string, message: string]>([
		["no URL", { url: undefined }, "/url", "required"],
		["no https", { url: "http://example.com" }, "/url", "https"],
		["a private address", { url: "https://10.0.0.1/" }, "/url", "public Internet"],
		["a link-local address", { url: "https://169.254.169.254/" }, "/url", "public Internet"],
		["its own host", { url: "https://localhost/" }, "/url", "public Internet"],
		["another port", { url: "https://example.com:8443/" }, "/url", "port 8443"],
		["a password", { url: "https://a:b@example.com/" }, "/url", "password"],
		["no event", { events: [] }, "/events", ""],
		["an unknown event", { events: ["rollout.*", "rollouts.*"] }, "/events/1", "rollout.rolled_back"],
		["an unknown environment", { environment: "moon" }, "/environment", "production"],
		["a secret of its own", { secret: "whsec_bmV3" }, "/secret", "unknown"],
	])("with %s is refused, and nothing is written", async (_what, change, pointer, message) => {
		const rows = await auditRows();
		const problem = await refused(422, "POST", WEBHOOKS, { body: aWebhook(change) });
		expect(pointersOf(problem)).toContain(pointer);
		expect(problem.detail).toContain(message);
		expect(await auditRows()).toEqual(rows);
		expect((await list()).webhooks).toEqual([]);
	});

	test("is changed in what is named, audited with both", async () => {
		const { id } = await create({ description: "as it was" });
		const change = { url: "https://new.example.com/", events: ["alert.*"], environment: "production" };
		expect(await done("PATCH", `${at(id)}?reason=moved`, { body: change })).toMatchObject({ ...change, description: "as it was" });
		expect(await one(id)).toMatchObject({ ...change, description: "as it was", disabled: null });
		expect((await auditOf(`webhooks/${id}`)).at(-1)).toMatchObject({
			action: "webhook.changed",
			reason: "moved",
			before: { url: "https://hooks.example.com/tidegate", environment: null },
			after: change,
		});
		expect(await done("PATCH", at(id), { body: { environment: null } })).toMatchObject({ environment: null, events: ["alert.*"] });
		expect(pointersOf(await refused(422, "PATCH", at(id), { body: { url: "https://192.168.1.1" } }))).toEqual(["/url"]);
		expect(pointersOf(await refused(422, "PATCH", at(id), { body: { events: ["x.*"] } }))).toEqual(["/events/0"]);
	});

	test("after whose change nothing differs is not written", async () => {
		const { id, secret: _secret, ...created } = await create();
		const rows = await auditRows();
		expect(await done("PATCH", at(id), { body: { url: created.url, enabled: true } })).toEqual({ id, ...created });
		expect(await done("PATCH", at(id), { body: {} })).toEqual({ id, ...created });
		expect(await auditRows()).toEqual(rows);
	});

	test("that two change at once is changed by one of them", async () => {
		const { id } = await create();
		const answers = await Promise.all(["a", "b", "c"].map((description) => send("PATCH", at(id), { body: { description } })));
		const statuses = answers.map(({ status }) => status);
		expect(statuses).toContain(200);
		expect(statuses.every((status) => status === 200 || status === 409)).toBe(true);
		const changes = (await auditOf(`webhooks/${id}`)).filter(({ action }) => action === "webhook.changed");
		expect(changes).toHaveLength(statuses.filter((status) => status === 200).length);
		expect((await one(id)).description).toBe((changes.at(-1)?.after as { description: string } | undefined)?.description);
	});

	test("is deleted with what it was owed, once", async () => {
		const { id } = await create();
		await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(() => answered(500)),
		);
		const answers = await Promise.all([1, 2].map(() => send("DELETE", `${at(id)}?reason=gone`)));
		expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)[0]).toBe(204);
		for (const [method, path] of [
			["GET", at(id)],
			["PATCH", at(id)],
			["DELETE", at(id)],
			["POST", at(id, "/rotate")],
			["POST", at(id, "/test")],
			["GET", at(id, "/dead-letters")],
			["POST", at(id, "/dead-letters/replay")],
		] as const) {
			const hasBody = method === "PATCH" || path.endsWith("replay");
			// oxlint-disable-next-line no-await-in-loop -- a few requests
			expect((await refused(404, method, path, hasBody ? { body: {} } : {})).detail).toContain(id);
		}
		const rows = await auditOf(`webhooks/${id}`);
		expect(rows.filter(({ action }) => action === "webhook.deleted")).toMatchObject([{ reason: "gone", after: null }]);
		expect(await env.DB.prepare("SELECT count(*) AS n FROM webhook_deliveries").first("n")).toBe(0);
	});

	test("is one of 20 at most, whoever comes at once", async () => {
		for (let i = 0; i < 19; i++) {
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			await create();
		}
		const answers = await Promise.all([1, 2, 3].map(() => send("POST", WEBHOOKS, { body: aWebhook() })));
		expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409]);
		expect(await refused(409, "POST", WEBHOOKS, { body: aWebhook() })).toMatchObject({
			type: "urn:tidegate:problem:too_many_webhooks",
			limit: 20,
		});
		await done("DELETE", at((await list()).webhooks[0]?.id ?? ""));
		await create();
	});

	test("whose row is damaged is listed as such, hides no other, and can be deleted", async () => {
		const [broken, whole] = [await create(), await create()];
		await env.DB.prepare("UPDATE webhooks SET secrets = '[]' WHERE id = ?").bind(broken.id).run();
		const { webhooks, damaged } = await list();
		expect([webhooks.map(({ id }) => id), damaged]).toEqual([[whole.id], [broken.id]]);
		expect((await refused(500, "GET", at(broken.id))).type).toBe("urn:tidegate:problem:webhook_damaged");
		await refused(500, "POST", at(broken.id, "/rotate"));
		expect((await send("DELETE", at(broken.id))).status).toBe(204);
		expect((await auditOf(`webhooks/${broken.id}`)).at(-1)).toMatchObject({ action: "webhook.deleted", before: { damaged: true } });
	});
});

describe("disabled by an operator", () => {
	test("it is owed nothing, and told nothing, until it is enabled", async () => {
		const { id, url } = await create();
		await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(() => answered(500)),
		);
		expect(await done("PATCH", at(id), { body: { enabled: false } })).toMatchObject({
			disabled: { by: "operator", atMs: expect.any(Number) },
			pending: 0,
			deadLetters: 1,
		});
		const missed = await happened("a.1");
		const none = receivers();
		await deliverAt(START_MS, none);
		expect(none.requests.filter(to(url))).toEqual([]);
		expect((await refused(409, "POST", at(id, "/dead-letters/replay"), { body: {} })).type).toBe("urn:tidegate:problem:webhook_disabled");
		expect(await done("PATCH", at(id), { body: { enabled: true } })).toMatchObject({ disabled: null, deadLetters: 1 });
		const next = await happened("a.1");
		const all = receivers();
		await deliverAt(START_MS, all);
		expect(all.requests.map(({ event }) => event)).toEqual([next]);
		expect(missed).toBeLessThan(next);
	});

	test("it stays disabled through other changes, and since when", async () => {
		const { id } = await create();
		const { disabled } = await done<WebhookBody>("PATCH", at(id), { body: { enabled: false } });
		expect(await done("PATCH", at(id), { body: { description: "x" }, headers: { "x-tidegate-now": "5" } })).toMatchObject({ disabled });
		expect(await done("PATCH", at(id), { body: { enabled: false }, headers: { "x-tidegate-now": "5" } })).toMatchObject({ disabled });
	});
});

describe("deliveries", () => {
	test("are shown with what became of them, newest first", async () => {
		const { id } = await create();
		const [a, b] = [await happened("a.1", "rollout.started"), await happened("b.1", "page.no_data")];
		await deliverAt(
			START_MS,
			receivers(({ event }) => answered(event === a ? 204 : 503)),
		);
		const waiting = await happened("b.1");
		await deliverAt(START_MS, receivers());
		const { deliveries, pending, deadLetters } = await one(id);
		expect([pending, deadLetters]).toEqual([2, 0]);
		expect(deliveries).toMatchObject([
			{
				id: `evt_${START_MS.toString(36)}_${waiting}`,
				subject: "b.1",
				status: "pending",
				attempts: 0,
				nextAttemptAtMs: START_MS,
				error: null,
			},
			{ type: "page.no_data", subject: "b.1", status: "pending", attempts: 1, nextAttemptAtMs: expect.any(Number), error: "answered 503" },
			{
				type: "rollout.started",
				subject: "a.1",
				status: "delivered",
				attempts: 1,
				nextAttemptAtMs: null,
				settledAtMs: START_MS,
				error: null,
			},
		]);
		expect(deliveries[1]?.nextAttemptAtMs).toBeGreaterThan(START_MS);
		expect(deliveries[1]?.id).toBe(`evt_${START_MS.toString(36)}_${b}`);
	});

	async function dead(number: number) {
		const created = await create();
		for (let i = 0; i < number; i++) {
			// oxlint-disable-next-line no-await-in-loop -- their order is their number
			await happened(`s-${i}`);
		}
		await deliverAt(
			START_MS,
			receivers(() => answered(500)),
		);
		await deliverAt(
			START_MS + 2 * 86_400_000,
			receivers(() => answered(500)),
		);
		const { deadLetters } = await done<{ deadLetters: DeliveryBody[] }>("GET", at(created.id, "/dead-letters"));
		expect(deadLetters).toHaveLength(number);
		return { ...created, letters: deadLetters };
	}

	test("that were given up are listed by pages", async () => {
		const { id, letters } = await dead(5);
		expect(letters[0]).toMatchObject({
			status: "dead",
			attempts: 2,
			nextAttemptAtMs: null,
			error: expect.stringContaining("answered 500; attempts: 2"),
		});
		const page = async (query: string) =>
			(await done<{ deadLetters: DeliveryBody[] }>("GET", at(id, `/dead-letters?${query}`))).deadLetters.map((each) => each.id);
		const first = await page("limit=2");
		const second = await page(`limit=2&before=${first[1]}`);
		const third = await page(`limit=2&before=${second[1]}`);
		expect([...first, ...second, ...third]).toEqual(letters.map((each) => each.id));
		expect(await page(`limit=2&before=${third[0]}`)).toEqual([]);
		await refused(422, "GET", at(id, "/dead-letters?limit=501"));
		expect(pointersOf(await refused(422, "GET", at(id, "/dead-letters?before=x")))).toEqual(["/before"]);
	});

	test("that were given up are replayed, those named or all, and that is audited", async () => {
		const { id, url, letters } = await dead(3);
		const named = letters[1]?.id ?? "";
		const replayed = (body: object) => done<{ replayed: number }>("POST", `${at(id, "/dead-letters/replay")}?reason=fixed`, { body });
		expect(await replayed({ ids: [named] })).toEqual({ replayed: 1 });
		expect(await one(id)).toMatchObject({ pending: 1, deadLetters: 2 });
		expect(await replayed({})).toEqual({ replayed: 2 });
		expect((await auditOf(`webhooks/${id}`)).slice(-2)).toMatchObject([
			{ action: "webhook.replayed", reason: "fixed", after: { events: [expect.any(Number)] } },
			{ action: "webhook.replayed", after: { events: "all" } },
		]);
		const all = receivers();
		await deliverAt(Date.now() + 1_000, all);
		expect(
			all.requests
				.filter(to(url))
				.map((each) => each.id)
				.toSorted(),
		).toEqual(letters.map((each) => each.id).toSorted());
		expect(await one(id)).toMatchObject({ pending: 0, deadLetters: 0 });
		expect(await replayed({})).toEqual({ replayed: 0 });
		expect(pointersOf(await refused(422, "POST", at(id, "/dead-letters/replay"), { body: { ids: [named, "x"] } }))).toEqual(["/ids/1"]);
	});

	test("of one subscriber are no other's", async () => {
		const { letters } = await dead(1);
		const other = await create();
		expect(await done("GET", at(other.id, "/dead-letters"))).toEqual({ deadLetters: [] });
		expect(await done("POST", at(other.id, "/dead-letters/replay"), { body: { ids: letters.map(({ id }) => id) } })).toEqual({
			replayed: 0,
		});
	});
});

describe("a secret", () => {
	test("is rotated: the answer shows the new one, and for how long the old one signs", async () => {
		const { id, secret: old } = await create();
		const rotated = await done<WebhookBody & { secret: string }>("POST", `${at(id, "/rotate")}?reason=leak`);
		expect(rotated.secret).toMatch(/^whsec_/);
		expect(rotated.secret).not.toBe(old);
		const [untilMs, ...more] = (await one(id)).oldSecretsUntilMs;
		expect(more).toEqual([]);
		expect(untilMs).toBeGreaterThan(Date.now() + 86_400_000 - 60_000);
		expect(untilMs).toBeLessThanOrEqual(Date.now() + 86_400_000);
		await happened("a.1");
		const all = receivers();
		await deliverAt(Date.now(), all);
		expect(all.requests[0]?.secrets).toEqual([rotated.secret, old]);
		expect((await auditOf(`webhooks/${id}`)).at(-1)).toMatchObject({
			action: "webhook.rotated",
			reason: "leak",
			before: null,
			after: null,
		});
	});

	test("is one of five that sign at most", async () => {
		const { id } = await create();
		for (let i = 0; i < 4; i++) {
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			await done("POST", at(id, "/rotate"));
		}
		expect(await refused(409, "POST", at(id, "/rotate"))).toMatchObject({
			type: "urn:tidegate:problem:too_many_secrets",
			limit: 5,
			untilMs: expect.any(Number),
		});
	});

	test("is in its answer and its own column, and nowhere else, whatever is done", async () => {
		const lines: string[] = [];
		for (const level of ["warn", "error", "log", "info", "debug"] as const)
			vi.spyOn(console, level).mockImplementation((...line: unknown[]) => void lines.push(line.map(String).join(" ")));
		vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(null, { status: 500 }));
		const { id, secret } = await create();
		const rotated = await done<{ secret: string }>("POST", at(id, "/rotate"));
		await happened("a.1");
		await deliverAt(
			START_MS,
			receivers(() => answered(500)),
		);
		const texts = [
			(await send("PATCH", at(id), { body: { description: "y" } })).text,
			(await send("POST", at(id, "/test"))).text,
			(await send("GET", at(id))).text,
			(await send("GET", WEBHOOKS)).text,
			(await send("GET", at(id, "/dead-letters"))).text,
			(await send("GET", "/api/v1/audit?limit=500")).text,
		];
		const tables = await env.DB.prepare(
			"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
		).all<{ name: string }>();
		const rows = await env.DB.batch<Record<string, unknown>>(tables.results.map(({ name }) => env.DB.prepare(`SELECT * FROM ${name}`)));
		for (const { secrets, ...row } of rows.flatMap(({ results }) => results)) {
			if (secrets !== undefined) expect(secrets).toContain(secret);
			texts.push(JSON.stringify(row));
		}
		expect(lines.length).toBeGreaterThan(0);
		for (const text of [...texts, ...lines]) for (const hidden of [secret, rotated.secret]) expect(text).not.toContain(hidden.slice(6));
	});
});

describe("a test", () => {
	test("is sent now, signed, and what was answered is told and audited", async () => {
		const { id, secret, url } = await create({ environment: "staging", description: "pager" });
		const requests: { url: string; init: RequestInit }[] = [];
		vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
			requests.push({ url: input as string, init: init ?? {} });
			return new Response("thanks", { status: 202 });
		});
		const result = await done<{ id: string }>("POST", `${at(id, "/test")}?reason=try`);
		expect(result).toEqual({ id: expect.stringMatching(/^test_[0-9a-f]{18}$/), delivered: true, status: 202, error: null });
		const [request, ...more] = requests;
		expect(more).toEqual([]);
		expect(request).toMatchObject({ url, init: { method: "POST", redirect: "manual" } });
		const headers = request?.init.headers as Record<string, string>;
		expect(headers["webhook-id"]).toBe(result.id);
		expect(new Webhook(secret).verify(request?.init.body as string, headers)).toEqual({
			type: "webhook.test",
			timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
			data: { webhook: id, environment: "staging", description: "pager" },
		});
		expect((await auditOf(`webhooks/${id}`)).at(-1)).toMatchObject({ action: "webhook.tested", reason: "try", after: result });
		expect((await one(id)).deliveries).toEqual([]);
	});

	test.each<[what: string, answer: () => Promise<Response>, wanted: object]>([
		["a failure", async () => new Response(null, { status: 500 }), { delivered: false, status: 500, error: "answered 500" }],
		["gone", async () => new Response(null, { status: 410 }), { delivered: false, status: 410, error: "answered 410" }],
		["a redirect", async () => new Response(null, { status: 302 }), { delivered: false, status: 302, error: "answered 302" }],
		[
			"nobody",
			() => Promise.reject(new Error("refused: https://hooks.example.com/tidegate")),
			{ delivered: false, status: null, error: "the connection failed" },
		],
	])("that %s answers says so, and changes nothing", async (_what, answer, wanted) => {
		const { id } = await create();
		vi.spyOn(globalThis, "fetch").mockImplementation(answer);
		expect(await done("POST", at(id, "/test"))).toMatchObject(wanted);
		expect(await one(id)).toMatchObject({ disabled: null, pending: 0, deadLetters: 0 });
	});
});

test("the events that may be asked for are listed where they are asked for", async () => {
	const { text } = await send("GET", "/openapi.json");
	for (const type of Object.keys(EVENTS)) expect(text).toContain(type);
});
