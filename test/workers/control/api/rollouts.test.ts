import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import control from "../../../../control/index";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import {
	type FlagBody,
	ROLLOUTS,
	type RolloutBody,
	TOKEN,
	aPhase,
	aPlan,
	auditOf,
	command,
	commandsOf,
	createFlag,
	createRollout,
	done,
	flagAt,
	newKey,
	pointersOf,
	refused,
	send,
} from "./harness";

const DAY_MS = 86_400_000;
const ALPHA = 0.0125;
const COMMANDS = ["start", "pause", "resume", "advance", "roll_back", "cancel"] as const;

interface EventRow {
	readonly revision: number;
	readonly kind: string;
	readonly reason: string;
	readonly message: string;
	readonly actor: string;
	readonly correlationId: string;
	readonly atMs: number;
	readonly recordedAtMs: number;
	readonly before: { readonly status: string };
	readonly after: { readonly status: string };
}
const eventsOf = async (id: string, query = ""): Promise<readonly EventRow[]> =>
	(await done<{ events: EventRow[] }>("GET", `${ROLLOUTS}/${id}/events${query}`)).events;

describe("a plan", () => {
	test("becomes a draft that nobody is served yet", async () => {
		const { key } = await createFlag();
		const name = newKey();
		const { status, headers, body } = await send<RolloutBody>("POST", ROLLOUTS, { body: aPlan({ rollout: name, flags: [key] }) });
		expect([status, headers.get("location")]).toEqual([201, `${ROLLOUTS}/${name}.1`]);
		expect(body).toMatchObject({
			id: `${name}.1`,
			name,
			attempt: 1,
			status: "draft",
			phase: null,
			percent: 0,
			revision: 0,
			startedAtMs: null,
			health: null,
			holdback: 5,
		});
		expect(await done("GET", `${ROLLOUTS}/${name}.1`)).toEqual(body);
		expect(await eventsOf(`${name}.1`)).toEqual([]);
	});

	const phases = (...percents: number[]) => ({ phases: percents.map((percent) => aPhase({ percent })) });
	test.each<[what: string, change: Record<string, unknown>, pointers: readonly string[]]>([
		["an unknown field", { colour: "red" }, ["/colour"]],
		["an unknown field of a phase", { phases: [aPhase({ colour: "red" })] }, ["/phases/0/colour"]],
		["a percent below 0", phases(-1, 100), ["/phases/0/percent"]],
		["a percent above 100", phases(5, 101), ["/phases/1/percent"]],
		["0 percent", phases(0, 100), ["/phases/0/percent"]],
		["a percent of four decimals", phases(0.0001, 100), ["/phases/0/percent"]],
		["a percent as text", { phases: [aPhase({ percent: "100" })] }, ["/phases/0/percent"]],
		["falling percents", phases(20, 5, 100), ["/phases/1/percent"]],
		["an end below 100 percent", phases(5, 50), ["/phases/1/percent"]],
		["no phases", { phases: [] }, ["/phases"]],
		["no flags", { flags: [] }, ["/flags"]],
		["a name in capitals", { rollout: "Checkout" }, ["/rollout"]],
		["a name of 58 characters", { rollout: "n".repeat(58) }, ["/rollout"]],
		["an unknown environment", { environment: "moon" }, ["/environment"]],
		["an unknown strategy", { strategy: "big-bang" }, ["/strategy"]],
		["a hold that is no duration", { phases: [aPhase({ hold: "soon" })] }, ["/phases/0/hold"]],
		["a criterion nobody understands", { phases: [aPhase({ criteria: ["errors < 3"] })] }, ["/phases/0/criteria/0"]],
		["a criterion the wrong way round", { phases: [aPhase({ criteria: ["error_rate > 3%"] })] }, ["/phases/0/criteria/0"]],
		["a limit among the guards", { guards: ["error_rate < 3%"] }, ["/guards/0"]],
		["a comparison among the red flags", { red_flags: ["error_rate vs control <= +25%"] }, ["/red_flags/0"]],
		["a phase that nothing judges", { guards: [], phases: [aPhase({ criteria: [] })] }, ["/phases/0"]],
		["guards without anybody to compare with", { holdback: 0, phases: [aPhase({ criteria: [] })] }, ["/phases/0"]],
		["a holdback above 50 percent", { holdback: 51 }, ["/holdback"]],
		["no users at all", { min_users: 0 }, ["/min_users"]],
		["a candidate that the flag does not have", { candidate: "blue" }, ["/candidate"]],
		["an inherited name as the candidate", { candidate: "constructor" }, ["/candidate"]],
		["the candidate that everybody has", { candidate: "false" }, ["/candidate"]],
	])("is refused with %s, and where is said", async (_, change, pointers) => {
		const { key } = await createFlag();
		expect(pointersOf(await refused(422, "POST", ROLLOUTS, { body: aPlan({ flags: [key], ...change }) }))).toEqual(pointers);
	});

	test("is refused with flags that are missing, doubled, split or of the other environment, all at once", async () => {
		const { key } = await createFlag();
		const split = await createFlag({ fallthrough: [{ variant: "true", weight: 100_000 }] });
		const problem = await refused(422, "POST", ROLLOUTS, {
			body: aPlan({ flags: [key, key, newKey(), split.key], guards: ["latency < 3"] }),
		});
		expect([...pointersOf(problem)].sort()).toEqual(["/flags/1", "/flags/2", "/flags/3", "/guards/0"]);
		expect(pointersOf(await refused(422, "POST", ROLLOUTS, { body: aPlan({ flags: [key], environment: "staging" }) }))).toEqual([
			"/flags/0",
		]);
	});

	test.each([
		["not a url", "takes a URL"],
		["http://origin.example/purge", "takes an https URL"],
		["https://169.254.169.254/latest", "is not on the public Internet"],
		["https://10.0.0.1/", "is not on the public Internet"],
		["https://localhost/", "is not on the public Internet"],
		["https://user:secret@origin.example/", "must not hold a user"],
		["https://origin.example:8443/", "port 8443"],
	])("is refused with a rollback's step to %s, which would not be called then", async (http, says) => {
		const { key } = await createFlag();
		const steps = [
			{ name: "fine", http: "https://origin.example/purge" },
			{ name: "purge", http },
		];
		const { errors } = await refused(422, "POST", ROLLOUTS, { body: aPlan({ flags: [key], rollback: { steps } }) });
		expect(errors).toEqual([{ pointer: "/rollback/steps/1/http", message: expect.stringContaining(says) }]);
	});

	test("for a flag in an active rollout is refused, and that one is named", async () => {
		const { key } = await createFlag();
		const first = await createRollout({ flags: [key] });
		const second = await createRollout({ flags: [key] });
		await command(first.id, "start");
		for (const sent of [
			["POST", ROLLOUTS, aPlan({ flags: [key] })],
			["POST", commandsOf(second.id), { command: "start" }],
		] as const) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			const problem = await refused(409, sent[0], sent[1], { body: sent[2] });
			expect(problem["rollout"]).toBe(first.id);
			expect(problem.detail).toContain(first.id);
		}
		await command(first.id, "cancel");
		expect((await command(second.id, "start")).status).toBe("running");
	});

	test("for a flag that two start at once: one does, the other is told which", async () => {
		const { key } = await createFlag();
		const drafts = [await createRollout({ flags: [key] }), await createRollout({ flags: [key] })];
		const answers = await Promise.all(drafts.map(({ id }) => send("POST", commandsOf(id), { body: { command: "start" } })));
		expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([200, 409]);
		const winner = drafts[answers.findIndex((answer) => answer.status === 200)]?.id;
		expect(answers.find((answer) => answer.status === 409)?.body).toMatchObject({ rollout: winner });
	});

	test("of one name, created often at once, gets attempts that all differ", async () => {
		const { key } = await createFlag();
		const body = aPlan({ flags: [key] });
		const made = await Promise.all([1, 2, 3, 4].map(() => done<RolloutBody>("POST", ROLLOUTS, { body })));
		expect(made.map((each) => each.attempt).sort((a, b) => a - b)).toEqual([1, 2, 3, 4]);
	});
});

describe("commands", () => {
	/** How to bring a draft into each status. */
	const PATHS: Readonly<Record<string, readonly (typeof COMMANDS)[number][]>> = {
		draft: [],
		running: ["start"],
		paused: ["start", "pause"],
		rolled_back: ["start", "roll_back"],
		completed: ["start", "advance", "advance", "advance"],
		cancelled: ["cancel"],
	};
	const FITS: Readonly<Record<string, readonly string[]>> = {
		draft: ["start", "cancel"],
		running: ["pause", "advance", "roll_back", "cancel"],
		paused: ["resume", "roll_back", "cancel"],
		rolled_back: [],
		completed: [],
		cancelled: [],
	};
	const isIn = async (status: string): Promise<string> => {
		const { id } = await createRollout();
		// oxlint-disable-next-line no-await-in-loop -- one after the other
		for (const step of PATHS[status] ?? []) await command(id, step);
		return id;
	};

	test.each(Object.keys(PATHS))("that do not fit %s are refused and change nothing", async (status) => {
		const id = await isIn(status);
		const before = await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`);
		expect(before.status).toBe(status);
		const rows = (await auditOf(`rollouts/${id}`)).length;
		// What is rolled back already has what a second roll_back asks for.
		const isDone = (name: string) => name === "roll_back" && status === "rolled_back";
		for (const name of COMMANDS.filter((each) => !FITS[status]?.includes(each) && !isDone(each))) {
			// oxlint-disable-next-line no-await-in-loop -- few requests
			const problem = await refused(409, "POST", commandsOf(id), { body: { command: name } });
			expect(problem["status_now"]).toBe(status);
			expect(problem["fits"]).not.toContain(status);
		}
		expect(await done("GET", `${ROLLOUTS}/${id}`)).toEqual(before);
		expect(await auditOf(`rollouts/${id}`)).toHaveLength(rows);
	});

	test.each(Object.entries(FITS).flatMap(([status, fits]) => fits.map((name) => [name, status] as const)))(
		"%s fits %s",
		async (name, status) => {
			const id = await isIn(status);
			const before = await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`);
			const after = await command(id, name, "because");
			expect(after.revision).toBe(before.revision + 1);
			const [event] = (await eventsOf(id)).slice(-1);
			expect(event).toMatchObject({
				revision: after.revision,
				before: { status },
				after: { status: after.status },
				reason: "operator",
				message: "because",
			});
		},
	);

	test.each<[what: string, body: unknown, pointer: string]>([
		["an unknown command", { command: "explode" }, "/command"],
		["an unknown field", { command: "start", force: true }, "/force"],
		["a reason of 1,001 characters", { command: "start", reason: "x".repeat(1_001) }, "/reason"],
		["no command", {}, "/command"],
	])("refuses %s", async (_, body, pointer) => {
		const { id } = await createRollout();
		expect(pointersOf(await refused(422, "POST", commandsOf(id), { body }))).toEqual([pointer]);
	});

	test("for a rollout that is not there are 404", async () => {
		await refused(404, "POST", commandsOf("nobody.1"), { body: { command: "start" } });
		await refused(404, "GET", `${ROLLOUTS}/nobody.1`);
		await refused(404, "GET", `${ROLLOUTS}/nobody.1/events`);
	});

	test("at once: one is applied, the others are refused", async () => {
		const { id } = await createRollout();
		await command(id, "start");
		const answers = await Promise.all(["pause", "pause", "pause"].map((name) => send("POST", commandsOf(id), { body: { command: name } })));
		expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([200, 409, 409]);
		expect((await eventsOf(id)).map((event) => event.kind)).toEqual(["start", "pause"]);
	});

	test("roll_back of what is rolled back is done, and changes nothing", async () => {
		const id = await isIn("rolled_back");
		const before = await done("GET", `${ROLLOUTS}/${id}`);
		const rows = await auditOf(`rollouts/${id}`);
		const { revision } = (await readHead(open(env.DB))).head;
		expect(await command(id, "roll_back", "again")).toEqual(before);
		expect(await auditOf(`rollouts/${id}`)).toEqual(rows);
		expect(await eventsOf(id)).toHaveLength(2);
		expect((await readHead(open(env.DB))).head.revision).toBe(revision);
	});

	test("say of a roll_back that found it done already that it changed nothing, and only of that", async () => {
		const id = await isIn("running");
		const body = { command: "roll_back" };
		const headers = { "idempotency-key": newKey() };
		const answers = [
			await send("POST", commandsOf(id), { body, headers }),
			await send("POST", commandsOf(id), { body, headers }),
			await send("POST", commandsOf(id), { body }),
			await send("POST", commandsOf(id), { body: { ...body, strategy: "full" } }),
		];
		expect(answers.map(({ status, headers: told }) => [status, told.get("rollout-unchanged")])).toEqual([
			[200, null],
			[200, null],
			[200, "true"],
			[200, "true"],
		]);
	});

	/** A command before each of whose commits somebody else is faster with one of their own, as long as there are rivals. */
	async function amidRivals(id: string, name: string, rivals: readonly string[]): Promise<Response> {
		const left = [...rivals];
		let isCommit = false;
		const DB = new Proxy(env.DB, {
			get(target, property) {
				if (property === "prepare")
					return (sql: string) => {
						isCommit ||= sql.startsWith("INSERT INTO rollout_events");
						return target.prepare(sql);
					};
				if (property === "batch")
					return async (statements: D1PreparedStatement[]) => {
						const rival = isCommit ? left.shift() : undefined;
						isCommit = false;
						if (rival !== undefined) await command(id, rival);
						return target.batch(statements);
					};
				return Reflect.get(target, property).bind(target) as unknown;
			},
		});
		const context = createExecutionContext();
		const request = new Request<unknown, IncomingRequestCfProperties>(`https://control.example${commandsOf(id)}`, {
			method: "POST",
			headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
			body: JSON.stringify({ command: name }),
		});
		const response = await control.fetch(request, { ...env, DB }, context);
		await waitOnExecutionContext(context);
		return response;
	}

	test.each([
		["roll_back", "rolled_back"],
		["cancel", "cancelled"],
	])("%s that loses against somebody else five times is carried out all the same", async (name, status) => {
		const id = await isIn("running");
		const rivals = ["pause", "resume", "advance", "pause", "resume"];
		const response = await amidRivals(id, name, rivals);
		expect([response.status, (await response.json<RolloutBody>()).status]).toEqual([200, status]);
		expect((await eventsOf(id)).map((event) => event.kind)).toEqual(["start", ...rivals, name]);
	});

	test("advance that loses against somebody else is not tried again: it was meant for what was seen", async () => {
		const id = await isIn("running");
		expect((await amidRivals(id, "advance", ["advance"])).status).toBe(409);
		expect((await eventsOf(id)).map((event) => event.kind)).toEqual(["start", "advance"]);
	});

	test("roll_back amid others always ends 200, and the rollout rolled back", { timeout: 60_000 }, async () => {
		const phases = [...Array.from({ length: 20 }, (_, i) => aPhase({ percent: i + 1 })), aPhase()];
		for (let round = 0; round < 8; round++) {
			// oxlint-disable no-await-in-loop -- one race after another
			const { id } = await createRollout({ phases });
			await command(id, "start");
			const others = ["advance", "pause", "advance", "resume", "advance", "pause", "advance", "advance"];
			const [, back] = await Promise.all([
				Promise.all(others.slice(0, 4).map((name) => send("POST", commandsOf(id), { body: { command: name } }))),
				send<RolloutBody>("POST", commandsOf(id), { body: { command: "roll_back" } }),
				Promise.all(others.slice(4).map((name) => send("POST", commandsOf(id), { body: { command: name } }))),
			]);
			expect([back.status, back.body.status], back.text).toEqual([200, "rolled_back"]);
			expect((await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`)).status).toBe("rolled_back");
			expect((await eventsOf(id)).filter((event) => event.kind === "roll_back")).toHaveLength(1);
			// oxlint-enable no-await-in-loop
		}
	});

	test("carry reason, actor, correlation id and both clocks into the event and its audit row", async () => {
		const { id } = await createRollout();
		const atMs = 1_700_000_000_000;
		const startedAtMs = Date.now();
		await command(id, "start", "go 🌊", { "x-correlation-id": "release-42", "x-tidegate-now": String(atMs) });
		const [event] = await eventsOf(id);
		expect(event).toMatchObject({
			revision: 1,
			kind: "start",
			reason: "operator",
			message: "go 🌊",
			actor: "admin",
			correlationId: "release-42",
			atMs,
		});
		expect(event?.recordedAtMs).toBeGreaterThanOrEqual(startedAtMs);
		const [, row] = await auditOf(`rollouts/${id}`);
		expect(row).toMatchObject({
			action: "rollout.start",
			reason: "go 🌊",
			actor: "admin",
			correlationId: "release-42",
			atMs,
			before: event?.before,
			after: event?.after,
		});
	});

	test("without a reason have an empty one", async () => {
		const { id } = await createRollout();
		await done("POST", commandsOf(id), { body: { command: "start" } });
		expect((await eventsOf(id))[0]?.message).toBe("");
	});

	test("advance goes phase by phase, and percent with it", async () => {
		const { id } = await createRollout();
		const seen = [await command(id, "start"), await command(id, "advance"), await command(id, "advance"), await command(id, "advance")];
		expect(seen.map(({ status, phase, percent }) => [status, phase, percent])).toEqual([
			["running", "phase_1", 5],
			["running", "phase_2", 20],
			["running", "phase_3", 100],
			["completed", null, 100],
		]);
	});

	test.each(["roll_back", "cancel"])("%s tells the edges with the head, before any snapshot", async (name) => {
		const { id } = await createRollout();
		await command(id, "start");
		const { revision } = (await readHead(open(env.DB))).head;
		await command(id, name);
		const { head } = await readHead(open(env.DB));
		expect(head.environments["production"]?.overlay.baseline).toContain(id);
		expect(head.revision).toBeGreaterThan(revision);
	});

	test("a plan that has become wrong is refused at the start with its reasons", async () => {
		const flag = await createFlag();
		const { id } = await createRollout({ flags: [flag.key] });
		await done("PATCH", flagAt(flag.key), { body: { fallthrough: "true" }, headers: { "if-match": '"1"' } });
		expect(pointersOf(await refused(422, "POST", commandsOf(id), { body: { command: "start" } }))).toEqual(["/candidate"]);
	});
});

describe("completion", () => {
	test("makes the candidate the fallthrough of every flag, and frees them", async () => {
		const flags = [
			await createFlag(),
			await createFlag({ description: "kept", rules: [{ id: "r", when: { attribute: "a", op: "in", values: [1] }, serve: "false" }] }),
		];
		const untouched = await createFlag();
		const { id } = await createRollout({ flags: flags.map((flag) => flag.key), phases: [aPhase()] });
		await command(id, "start");
		await command(id, "advance", "done", { "x-correlation-id": "finish-1" });
		for (const flag of flags) {
			// oxlint-disable no-await-in-loop -- two flags
			const after = await done<FlagBody>("GET", flagAt(flag.key));
			expect(after).toEqual({ ...flag, fallthrough: "true", version: 2, updatedAtMs: after.updatedAtMs });
			const rows = await auditOf(`flags/production/${flag.key}`);
			expect(rows).toHaveLength(2);
			expect(rows[1]).toMatchObject({
				action: "flag.rolled_out",
				actor: "admin",
				reason: "done",
				correlationId: "finish-1",
				before: { fallthrough: "false" },
				after: { fallthrough: "true" },
			});
			await done("PATCH", flagAt(flag.key), { body: { salt: "free" }, headers: { "if-match": '"2"' } });
			// oxlint-enable no-await-in-loop
		}
		expect((await done<FlagBody>("GET", flagAt(untouched.key))).version).toBe(1);
	});

	test("of a named candidate", async () => {
		const flag = await createFlag({ type: "string", variants: { old: "o", new: "n" }, offVariant: "old", fallthrough: "old" });
		const { id } = await createRollout({ flags: [flag.key], candidate: "new", phases: [aPhase()] });
		await command(id, "start");
		await command(id, "advance");
		expect((await done<FlagBody>("GET", flagAt(flag.key))).fallthrough).toBe("new");
	});

	test.each(["roll_back", "cancel"])("%s instead leaves the fallthrough alone", async (name) => {
		const flag = await createFlag();
		const { id } = await createRollout({ flags: [flag.key] });
		await command(id, "start");
		await command(id, name);
		expect(await done("GET", flagAt(flag.key))).toEqual(flag);
	});
});

describe("a relaunch", () => {
	const at = (nowMs: number) => ({ "x-tidegate-now": String(nowMs) });

	test("has an id of its own, so buckets of its own, and half of its predecessor's α", async () => {
		const { key } = await createFlag();
		const rollout = newKey();
		const alphas: (number | undefined)[] = [];
		for (const attempt of [1, 2, 3]) {
			// oxlint-disable no-await-in-loop -- one launch after the other
			const draft = await createRollout({ rollout, flags: [key] });
			expect([draft.id, draft.attempt]).toEqual([`${rollout}.${attempt}`, attempt]);
			alphas.push((await command(draft.id, "start")).state.alpha);
			await command(draft.id, "roll_back");
			// oxlint-enable no-await-in-loop
		}
		expect(alphas).toEqual([ALPHA, ALPHA / 2, ALPHA / 4]);
	});

	test("after 30 days, or of a draft that was never started, costs nothing", async () => {
		const { key } = await createFlag();
		const rollout = newKey();
		await command((await createRollout({ rollout, flags: [key] })).id, "cancel");
		const second = await createRollout({ rollout, flags: [key] });
		expect((await command(second.id, "start", "", at(DAY_MS))).state.alpha).toBe(ALPHA);
		await command(second.id, "roll_back", "", at(2 * DAY_MS));
		const third = await createRollout({ rollout, flags: [key] });
		expect((await command(third.id, "start", "", at(31 * DAY_MS + 1))).state.alpha).toBe(ALPHA);
		await command(third.id, "cancel", "", at(31 * DAY_MS + 2));
		const fourth = await createRollout({ rollout, flags: [key] });
		expect((await command(fourth.id, "start", "", at(31 * DAY_MS + 3))).state.alpha).toBe(ALPHA / 2);
	});

	test("of another plan costs nothing", async () => {
		await command((await createRollout()).id, "start");
		expect((await command((await createRollout()).id, "start")).state.alpha).toBe(ALPHA);
	});
});

describe("reading", () => {
	test("events come a page at a time, none twice, none missing", async () => {
		const { id } = await createRollout();
		// oxlint-disable-next-line no-await-in-loop -- one after the other
		for (const name of ["start", "pause", "resume", "advance", "cancel"]) await command(id, name);
		const read: EventRow[] = [];
		for (let page: readonly EventRow[] = []; (page = await eventsOf(id, `?after=${read.at(-1)?.revision ?? 0}&limit=2`)).length > 0;)
			read.push(...page);
		expect(read).toEqual(await eventsOf(id));
		expect(read.map((event) => [event.revision, event.kind])).toEqual([
			[1, "start"],
			[2, "pause"],
			[3, "resume"],
			[4, "advance"],
			[5, "cancel"],
		]);
		// Each state follows from the one before.
		for (const [i, event] of read.entries()) expect(event.before).toEqual(read[i - 1]?.after ?? { status: "draft" });
	});

	test.each(["after=-1", "after=x", "after=1.5", "limit=0", "limit=501", "limit=x", "limit="])(
		"events with %s are refused",
		async (query) => {
			const { id } = await createRollout();
			await refused(422, "GET", `${ROLLOUTS}/${id}/events?${query}`);
		},
	);

	test("a rollout says what comes next, and what that waits for", async () => {
		const smoke = { name: "informed", manual: "support knows", critical: true };
		const phases = [aPhase({ percent: 5, approval: "manual", checks: [smoke] }), aPhase({ percent: 100, hold: "1h" })];
		const { id } = await createRollout({ phases });
		const next = async () => (await done<{ next: unknown }>("GET", `${ROLLOUTS}/${id}`)).next;
		expect(await next()).toBeNull();
		await command(id, "start");
		expect(await next()).toMatchObject({
			kind: "phase",
			phase: "phase_1",
			percent: 5,
			approvals: { needed: 1, given: [], author: "admin" },
			checks: ["informed"],
			waitsFor: ["checks", "approval"],
		});
		await command(id, "cancel");
		expect(await next()).toBeNull();
	});

	test("rollouts are listed newest first, by environment and status, as many as asked for", async () => {
		const { key } = await done<FlagBody>("POST", "/api/v1/flags?environment=staging", { body: { key: newKey(), type: "boolean" } });
		const made: string[] = [];
		for (const nowMs of [1, 2, 3]) {
			const body = aPlan({ environment: "staging", flags: [key] });
			// oxlint-disable-next-line no-await-in-loop -- one after the other
			made.unshift((await done<RolloutBody>("POST", ROLLOUTS, { body, headers: { "x-tidegate-now": String(nowMs) } })).id);
		}
		await command(made[1] ?? "", "cancel");
		const list = async (query: string) =>
			(await done<{ rollouts: RolloutBody[] }>("GET", `${ROLLOUTS}?${query}`)).rollouts.map(({ id }) => id);
		expect(await list("environment=staging")).toEqual(made);
		expect(await list("environment=staging&limit=2")).toEqual(made.slice(0, 2));
		expect(await list("environment=staging&status=draft")).toEqual([made[0], made[2]]);
		expect(await list("environment=staging&status=running")).toEqual([]);
		expect(await list("environment=staging&status=draft,cancelled")).toEqual(made);
		expect(await list("environment=staging&status=running,cancelled")).toEqual([made[1]]);
		for (const wrong of ["sleeping", "draft,sleeping", "draft,", ""])
			expect(pointersOf(await refused(422, "GET", `${ROLLOUTS}?status=${wrong}`))).toEqual(["?status="]);
	});
});
