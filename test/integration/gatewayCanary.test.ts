// The gateway as it is put in front of an application: both Workers, the two origins of examples/, and visitors over real HTTP.
import { readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { startOrigin } from "../../examples/origins/origins.mjs";
import { type Running, freePort, run, stateFolder } from "./processes";

const MINUTE_MS = 60_000;
const state = stateFolder();
const ports = { edge: 0, control: 0 };
const [blue, green] = await Promise.all([startOrigin("blue"), startOrigin("green")]);
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
let instance: Running;
/** The clock of ticks; it only goes forward. */
let now = Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS;

beforeAll(async () => {
	Object.assign(ports, { edge: await freePort(), control: await freePort() });
	instance = run(["test/integration/instance.mjs", JSON.stringify({ ports, state })]);
	await instance.printed("ready");
	await control("POST", "/import?environment=production&reason=example", JSON.parse(readFileSync("examples/gateway/flags.json", "utf8")));
});
afterAll(async () => {
	agent.destroy();
	await Promise.all([instance.end("SIGKILL"), blue.stop(), green.stop()]);
	rmSync(state, { recursive: true, force: true });
});

async function control<T>(method: string, path: string, body?: unknown): Promise<T> {
	const response = await fetch(`http://127.0.0.1:${ports.control}/api/v1${path}`, {
		method,
		headers: { authorization: "Bearer token", "content-type": "application/json" },
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
	});
	const text = await response.text();
	expect(response.status, `${method} ${path}: ${text}`).toBeLessThan(300);
	return JSON.parse(text) as T;
}

async function tick(): Promise<void> {
	now += MINUTE_MS;
	const path = `/cdn-cgi/local/scheduled?cron=${encodeURIComponent("* * * * *")}&time=${now}`;
	await (await fetch(`http://127.0.0.1:${ports.control}${path}`)).text();
}

interface Answer {
	readonly status: number;
	readonly cookie: string | undefined;
	readonly origin: string | undefined;
}

/** fetch() has a Host of its own. */
function ask(host: string, path: string, method = "GET", cookie?: string, user?: string): Promise<Answer> {
	return new Promise((done, fail) => {
		const headers = { host, ...(cookie === undefined ? {} : { cookie }), ...(user === undefined ? {} : { "x-user": user }) };
		const asking = request({ host: "127.0.0.1", port: ports.edge, path, method, headers, agent }, (answer) => {
			let text = "";
			answer.setEncoding("utf8").on("data", (part: string) => (text += part));
			answer.on("error", fail).on("end", () => {
				const [, origin] = /"origin":"(\w+)"/.exec(text) ?? [];
				done({ status: answer.statusCode ?? 0, cookie: answer.headers["set-cookie"]?.[0]?.split(";")[0], origin });
			});
		});
		asking.on("error", fail).end();
	});
}

async function eventually(isDone: () => Promise<boolean> | boolean, waitMs = 15_000): Promise<void> {
	for (const until = Date.now() + waitMs; Date.now() < until;) {
		// oxlint-disable-next-line no-await-in-loop -- polls
		if (await isDone()) return;
		// oxlint-disable-next-line no-await-in-loop -- see above
		await new Promise((wake) => setTimeout(wake, 100));
	}
	throw new Error("it did not come to be so in time");
}

/** So many at a time, in order. */
async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>, atATime = 16): Promise<R[]> {
	const results: R[] = [];
	for (let i = 0; i < items.length; i += atATime)
		// oxlint-disable-next-line no-await-in-loop -- that many at a time
		results.push(...(await Promise.all(items.slice(i, i + atATime).map(work))));
	return results;
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const origins = { blue: blue.url, green: green.url };
const auditOf = async (resource: string) =>
	(await control<{ audit: { action: string; actor: string; reason: string }[] }>("GET", `/audit?resource=${resource}`)).audit;

test("a canary by the gateway alone: green breaks, at most 1 % of the visitors' requests fail, the tick rolls back, and every step is audited", async () => {
	const host = "shop.localhost";
	const plan = parse(readFileSync("examples/gateway/shop.yaml", "utf8")) as { routes: object[] };
	const routes = plan.routes.map((route) => ({ ...route, host, origins }));
	const { id } = await control<{ id: string }>("POST", "/rollouts", { ...plan, routes });
	await tick();
	await eventually(async () => (await ask(host, "/")).status === 200);
	const visitors = await each(numbers(400), async () => {
		const { status, origin, cookie } = await ask(host, "/");
		// Nobody gets green before it is started.
		expect([status, origin]).toEqual([200, "blue"]);
		return cookie ?? "";
	});
	expect(new Set(visitors).size).toBe(400);

	await control("POST", `/rollouts/${id}/commands`, { command: "start", reason: "green is deployed" });
	await tick();
	await eventually(async () =>
		(await each(visitors.slice(0, 50), (cookie) => ask(host, "/", "GET", cookie))).some(({ origin }) => origin === "green"),
	);
	const first = await each(visitors, (cookie) => ask(host, "/", "GET", cookie));
	const again = await each(visitors, (cookie) => ask(host, "/other", "GET", cookie));
	// Sticky: the cookie says who it is.
	expect(again.map(({ origin }) => origin)).toEqual(first.map(({ origin }) => origin));
	const served = first.filter(({ origin }) => origin === "green").length;
	expect(served).toBeGreaterThan(40);
	expect(served).toBeLessThan(130);

	green.told.fail = 1;
	const before = green.requests;
	// One in five is no request that can be sent again.
	const broken = await each(
		visitors.flatMap((cookie) => [cookie, cookie, cookie, cookie, cookie]).map((cookie, i) => [cookie, i % 5 === 4] as const),
		([cookie, isPost]) => ask(host, "/", isPost ? "POST" : "GET", cookie),
	);
	const failed = broken.filter(({ status }) => status !== 200);
	expect(broken).toHaveLength(2_000);
	expect(failed.length / broken.length).toBeLessThanOrEqual(0.01);
	// Left by the fuse: few requests have met what is broken.
	expect(green.requests - before).toBeLessThanOrEqual(30);

	const status = async () => (await control<{ status: string }>("GET", `/rollouts/${id}`)).status;
	// What was measured comes behind the answers, whenever that is.
	await eventually(async () => {
		await tick();
		return (await status()) === "rolled_back";
	});
	// The edge asks for the head every few seconds, and leaves green alone for good.
	await eventually(async () => {
		const asked = green.requests;
		green.told.fail = 0;
		const all = await each(visitors, (cookie) => ask(host, "/", "GET", cookie));
		return green.requests === asked && all.every(({ status: each_, origin }) => each_ === 200 && origin === "blue");
	});

	const { events } = await control<{ events: { kind: string; reason: string }[] }>("GET", `/rollouts/${id}/events`);
	expect(events.map(({ kind, reason }) => [kind, reason])).toEqual([
		["start", "operator"],
		["roll_back", "harm_proven"],
	]);
	expect((await auditOf("routes/production/shop")).map(({ action, actor }) => [action, actor])).toEqual([["route.created", "admin"]]);
	expect((await auditOf(`rollouts/${id}`)).map(({ action, actor, reason }) => [action, actor, reason])).toEqual([
		["rollout.created", "admin", ""],
		["rollout.start", "admin", "green is deployed"],
		["rollout.roll_back", "tidegate", expect.stringContaining("error_rate vs control")],
	]);
	expect((await auditOf("flags/production/shop-stack")).map(({ action, reason }) => [action, reason])).toEqual([
		["flag.imported", "example"],
	]);
}, 60_000);

test("a day of 1,254 compared requests, of which 3 differ, is reported as exactly that, and no user met a difference", async () => {
	const host = "compared.localhost";
	await control("POST", "/flags?environment=production", {
		key: "new-prices",
		type: "string",
		variants: { blue: "blue", green: "green" },
		offVariant: "blue",
		fallthrough: "blue",
	});
	const { id } = await control<{ id: string }>("POST", "/rollouts", {
		rollout: "new-prices",
		environment: "production",
		strategy: "compare-first",
		flags: ["new-prices"],
		candidate: "green",
		phases: [{ percent: 100, hold: "1h", criteria: ["error_rate < 1%"] }],
		routes: [
			{
				key: "prices",
				host,
				origins,
				targeting: { header: "x-user" },
				shadow: { variant: "green", compare: { ignore: ["$.origin"], redact: ["$.card"] } },
			},
		],
	});
	await control("POST", `/rollouts/${id}/commands`, { command: "start" });
	await tick();
	await eventually(async () => (await ask(host, "/", "DELETE")).status === 200);
	blue.told.answer = { price: 42, card: "4111" } as never;
	green.told.answer = { price: 42, card: "4111" } as never;
	const asked = green.requests;
	const askPrice = (i: number) => ask(host, `/prices/${i}?token=secret`, "GET", undefined, `user-${i}`);
	const same = await each(numbers(1_251), (i) => askPrice(i));
	await eventually(() => green.requests === asked + 1_251);
	green.told.answer = { price: 43, card: "4222" } as never;
	const differing = await each(numbers(3), (i) => askPrice(1_251 + i));
	expect([...same, ...differing].every(({ status, origin }) => status === 200 && origin === "blue")).toBe(true);

	interface Report {
		readonly total_queries: number;
		readonly samples: readonly { readonly input: string }[];
	}
	const date = new Date().toISOString().slice(0, 10);
	const reported = () => control<Report>("GET", `/compare/prices/report?environment=production&date=${date}`);
	await eventually(async () => (await reported()).total_queries === 1_254);
	const { samples, ...counted } = await reported();
	expect(counted).toEqual({ phase: "compare", date, total_queries: 1_254, discrepancies: 3, errors: 0, status: "discrepancies" });
	expect(samples.toSorted((a, b) => (a.input < b.input ? -1 : 1))).toEqual(
		[1_251, 1_252, 1_253].map((i) => {
			const result = (origin: string, price: number) => JSON.stringify({ origin, path: `/prices/${i}`, price, card: "[redacted]" });
			return {
				input: `GET /prices/${i}`,
				legacy_result: result("blue", 42),
				new_result: result("green", 43),
				match: false,
			};
		}),
	);
	// They are evidence too, which comes in its own time: one of them keeps the plan from going live.
	interface Shown {
		/** Null before anything was judged. */
		readonly health: {
			readonly judgement: { readonly verdicts: readonly { readonly criterion: string; readonly status: string }[] } | null;
		};
	}
	await eventually(async () => {
		await tick();
		const { health } = await control<Shown>("GET", `/rollouts/${id}`);
		return (
			health.judgement?.verdicts.some(({ criterion, status }) => criterion === "discrepancy_rate <= 0%" && status === "beyond") ?? false
		);
	});
}, 60_000);

test("a candidate that is too slow is left as one that fails: its users get the baseline's answer, in the candidate's time and their own", async () => {
	const host = "slow.localhost";
	await control("POST", "/flags?environment=production", {
		key: "slow-stack",
		type: "string",
		variants: { blue: "blue", green: "green" },
		offVariant: "blue",
		fallthrough: "blue",
	});
	const { id } = await control<{ id: string }>("POST", "/rollouts", {
		rollout: "slow-stack",
		environment: "production",
		strategy: "percentage",
		percents: [50, 100],
		hold: "1h",
		flags: ["slow-stack"],
		candidate: "green",
		criteria: ["error_rate < 1%"],
		routes: [{ key: "slow", host, origins, targeting: { header: "x-user" }, timeout: "1s" }],
	});
	await control("POST", `/rollouts/${id}/commands`, { command: "start" });
	await tick();
	const users = numbers(40).map((i) => `slow-user-${i}`);
	const askAll = () => each(users, (user) => ask(host, "/", "GET", undefined, user));
	await eventually(async () => (await askAll()).some(({ origin }) => origin === "green"));

	green.told.slow_ms = 5_000;
	const before = green.requests;
	const slow = await askAll();
	const asked = green.requests;
	expect(asked - before).toBeGreaterThan(0);
	// By now the fuse has gone: nobody waits any more, and few ask green.
	const left = await askAll();
	expect([...slow, ...left].every(({ status, origin }) => status === 200 && origin === "blue")).toBe(true);
	expect(green.requests - asked).toBeLessThanOrEqual(5);
	green.told.slow_ms = 0;
}, 60_000);
