import { describe, expect, test } from "vitest";
import { EXIT } from "../../../cli/exit";
import { problem, standIn, tidegate } from "./world";

const next = {
	kind: "phase",
	phase: "second",
	percent: 20,
	audience: "beta",
	flags: ["search"],
	holdLeftMs: 0,
	notBeforeMs: null,
	approvals: { needed: 2, given: ["bob"], author: "ann" },
	checks: [],
	waitsFor: ["approval"],
};
const detail = {
	id: "x.1",
	environment: "production",
	name: "x",
	attempt: 1,
	flags: ["f"],
	status: "running",
	phase: "first",
	percent: 5,
	holdback: 0,
	revision: 1,
	createdAtMs: 0,
	startedAtMs: 0,
	plan: null,
	state: null,
	next: null,
	health: null,
};
const said = (argv: string, env: Readonly<Record<string, string>>) => tidegate(argv.split(" "), { env });

describe("what people tell a rollout", () => {
	test.each<[argv: string, body: object]>([
		["start x.1", { command: "start" }],
		[
			"start x.1 --at 2026-03-01T08:00:00Z --from-phase second --manual",
			{ command: "start", at: "2026-03-01T08:00:00Z", fromPhase: "second", manual: true },
		],
		["start x.1 --auto-advance --from-phase 2", { command: "start", fromPhase: "2", manual: false }],
		["approve x.1 --reason fine", { command: "approve", reason: "fine" }],
		["reject x.1 --reason no", { command: "reject", reason: "no" }],
		["extend x.1 --by 2h", { command: "extend", duration: "2h" }],
		["advance x.1", { command: "advance" }],
		["advance x.1 --force --reason known", { command: "advance", force: true, reason: "known" }],
		["rollback x.1", { command: "roll_back" }],
		["rollback x.1 --strategy full", { command: "roll_back", strategy: "full" }],
		["rollback x.1 --strategy gradual", { command: "roll_back", strategy: "gradual" }],
		["rollback x.1 --strategy gradual --stages 75,12.5,0", { command: "roll_back", strategy: "gradual", stages: [75, 12.5, 0] }],
		["rollback x.1 --strategy feature --flags a,b,a", { command: "roll_back", strategy: "feature", flags: ["a", "b"] }],
		[
			"rollback x.1 --strategy targeted --keys ann,bob --segments eu",
			{ command: "roll_back", strategy: "targeted", keys: ["ann", "bob"], segments: ["eu"] },
		],
		["rollback x.1 --strategy version --versions f=3,g=1", { command: "roll_back", strategy: "version", versions: { f: 3, g: 1 } }],
	])("rollout %s", async (argv, body) => {
		const control = await standIn(() => ({ body: detail }));
		expect(await said(`rollout ${argv}`, control.env)).toMatchObject({ exit: EXIT.ok });
		expect(control.received).toMatchObject([{ method: "POST", path: "/api/v1/rollouts/x.1/commands" }]);
		expect(control.received[0]?.body).toEqual({ reason: "", ...body });
	});

	test.each<[argv: string, says: string]>([
		["start x.1 --manual --auto-advance", "each other's opposite"],
		["start x.1 --at tomorrow", '--at takes an RFC 3339 time as in 2026-01-31T12:00:00Z, not "tomorrow"'],
		["extend x.1", "--by takes how much longer"],
		["extend x.1 --by soon", 'not "soon"'],
		["advance x.1 --force", "--force takes a reason"],
		["rollback x.1 --strategy slow", "there is no strategy slow: it is one of immediate, gradual"],
		["rollback x.1 --flags a", "--flags belongs to --strategy feature"],
		["rollback x.1 --strategy gradual --keys a", "--keys belongs to --strategy targeted"],
		["rollback x.1 --strategy feature", "--strategy feature takes --flags"],
		["rollback x.1 --strategy feature --flags a,,b", "--flags takes keys with commas between them"],
		["rollback x.1 --strategy gradual --stages 25,50", "go down"],
		["rollback x.1 --strategy gradual --stages 101", "go down"],
		["rollback x.1 --strategy gradual --stages half", 'not "half"'],
		["rollback x.1 --strategy version --versions f", "a flag's key and the version it gets back"],
		["rollback x.1 --strategy version --versions f=0", "a flag's key and the version it gets back"],
	])("rollout %s is a mistake, and nothing is sent: %s", async (argv, says) => {
		const control = await standIn(() => ({ body: detail }));
		const { exit, err } = await said(`rollout ${argv}`, control.env);
		expect(err).toContain(says);
		expect({ exit, sent: control.received }).toEqual({ exit: EXIT.usage, sent: [] });
	});

	test("whose answer is lost is sent again under the same key, and counts once", async () => {
		const answers: ReturnType<typeof problem>[] = ["hang up", problem("unavailable", 503, "try again")];
		const control = await standIn(() => answers.shift() ?? { body: detail });
		expect(await said("rollout extend x.1 --by 2h", control.env)).toMatchObject({ exit: EXIT.ok, out: "x.1 is running: first, 5 %\n" });
		expect(control.received).toHaveLength(3);
		expect(new Set(control.received.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
		await said("rollout extend x.1 --by 2h", control.env);
		expect(control.received[3]?.headers["idempotency-key"]).not.toBe(control.received[0]?.headers["idempotency-key"]);
	});

	test("whose answers are all lost ends with 5; what is refused is not sent again", async () => {
		const lost = await standIn(() => "hang up");
		expect(await said("rollout approve x.1", lost.env)).toMatchObject({
			exit: EXIT.unreachable,
			err: expect.stringContaining("Whether this was carried out is not known") as string,
		});
		expect(lost.received).toHaveLength(3);
		const refused = await standIn(() => problem("approval_refused", 409, "the plan's author cannot approve it"));
		expect(await said("rollout approve x.1", refused.env)).toMatchObject({
			exit: EXIT.failure,
			err: "tidegate: the plan's author cannot approve it\n",
		});
		expect(refused.received).toHaveLength(1);
	});

	test.each<[over: object, says: string]>([
		[
			{ status: "scheduled", phase: null, next: { ...next, notBeforeMs: 0 } },
			"x.1 is scheduled: second (20 % of beta, with search), from 1970-01-01T00:00:00Z on",
		],
		[
			{ status: "validating", phase: null, next: { ...next, checks: ["smoke"], waitsFor: ["checks", "approval"] } },
			"x.1 is validating, and nobody is served yet: second (20 % of beta, with search) waits for checks: smoke; 1 of 2 approvals (bob), from anybody but ann",
		],
		[
			{ status: "awaiting_approval", next },
			"x.1 is awaiting approval: first, 5 %; second (20 % of beta, with search) has 1 of 2 approvals (bob), from anybody but ann",
		],
		[
			{ status: "awaiting_approval", next: { ...next, waitsFor: [], approvals: { ...next.approvals, needed: 1 } } },
			"x.1 has its approvals (bob): first, 5 %; second (20 % of beta, with search) comes with the next tick",
		],
		[
			{ status: "running", state: { phase: 0, extendedMs: 7_200_000 }, next: { ...next, holdLeftMs: 9_000_000, waitsFor: ["hold"] } },
			"x.1 is running: first, 5 %, for 2.5h more at least",
		],
		[{ status: "rolling_back", percent: 75, state: { stages: [50, 0] } }, "x.1 is on its way back: 75 % still, then 50 %, 0 %"],
		[{ status: "rolled_back", phase: null }, "x.1 is rolled back: edges serve the baseline within 10 s"],
	])("is answered with where it is then: %j", async (over, says) => {
		const control = await standIn(() => ({ body: { ...detail, ...over } }));
		expect((await said("rollout approve x.1", control.env)).out).toBe(`${says}\n`);
	});
});

test("what does not fit is told by the commands' names here", async () => {
	const refusal = "cannot roll_back: the rollout is draft, which takes start, cancel";
	const { env } = await standIn(() => problem("wrong_status", 409, refusal));
	expect((await said("rollout rollback x.1", env)).err).toBe(
		"tidegate: cannot rollback: the rollout is draft, which takes start, cancel. tidegate rollout show x.1 shows where it is\n",
	);
});

describe("rollout rollback of one that has ended", () => {
	const ended = { atMs: 60_000, by: "ann", reason: "slow" };
	const back = (over: object = {}) =>
		standIn(() => ({
			body: { ...detail, status: "rolled_back", phase: null, percent: 0, state: { status: "rolled_back", ...ended }, ...over },
			headers: { "rollout-unchanged": "true" },
		}));

	test("is done where it is rolled back, and says since when, and that nothing was changed", async () => {
		const { env } = await back();
		expect(await said("rollout rollback x.1", env)).toEqual({
			exit: EXIT.ok,
			out: "x.1 is rolled back already, since 1970-01-01T00:01:00Z, by ann: nothing was changed\n",
			err: "",
		});
		expect(JSON.parse((await said("rollout rollback x.1 --json", env)).out)).toMatchObject({ status: "rolled_back", unchanged: true });
	});

	test("says it of one that cannot be read", async () => {
		const { env } = await back({ status: "cancelled", state: null });
		expect((await said("rollout rollback x.1", env)).out).toBe("x.1 is cancelled already: nothing was changed\n");
	});

	test.each<[strategy: string, says: string]>([
		["full", "what else is live in staging is not taken back by this: tidegate emergency-rollback -e staging does that"],
		["version", "the flags stay as they are: their versions are restored one by one"],
	])("by the strategy %s says what was not done", async (strategy, says) => {
		const { env } = await back({ environment: "staging" });
		const { exit, out, err } = await said(`rollout rollback x.1 --strategy ${strategy}`, env);
		expect([exit, out]).toEqual([EXIT.ok, expect.stringContaining("nothing was changed")]);
		expect(err).toContain(says);
	});

	test("is refused in another status, which it names", async () => {
		const refusal = "cannot roll_back: the rollout is completed, which is final: create the plan again for a new attempt";
		const { env } = await standIn(() => problem("wrong_status", 409, refusal, { status_now: "completed" }));
		expect(await said("rollout rollback x.1", env)).toMatchObject({
			exit: EXIT.failure,
			err: "tidegate: cannot rollback: the rollout is completed, which is final: create the plan again for a new attempt. Nothing was changed: tidegate rollout show x.1 shows where it is\n",
		});
	});
});

describe("plan validate", () => {
	test("ends with what it could not look at", async () => {
		const plan = `rollout: x
environment: staging
flags: [f, g]
exclude: { segments: [vip] }
phases: [{percent: 100, hold: 1h, audience: beta, criteria: [error_rate < 3%]}]
`;
		const { exit, out } = await tidegate(["plan", "validate", "-"], { stdin: plan });
		expect(exit).toBe(EXIT.ok);
		expect(out).toMatch(/\n\nnot checked here: whether staging has the flags f, g, the variant "true", the segments vip, beta\n$/);
		const { out: json } = await tidegate(["plan", "validate", "-", "--json"], { stdin: plan });
		expect(JSON.parse(json)).toMatchObject({ notChecked: { flags: ["f", "g"], segments: ["vip", "beta"], variant: "true" } });
	});
});

describe("import", () => {
	test("of a plan says what takes it, and sends nothing", async () => {
		const control = await standIn(() => ({}));
		const { exit, err } = await tidegate(["import", "-"], { env: control.env, stdin: "rollout: x\nflags: [f]\n" });
		expect(err).toContain("is a plan, and nothing was sent: tidegate plan apply");
		expect({ exit, sent: control.received }).toEqual({ exit: EXIT.failure, sent: [] });
	});

	test("tells what an unknown field should probably be called, and never suggests what was written", async () => {
		const errors = ["/flags/0/enabeld", "/flags/0/rollout", "/segment"].map((pointer) => ({ pointer, message: "unknown field" }));
		const { env } = await standIn(() => problem("invalid", 422, "no", { errors }));
		const stdin = JSON.stringify({ flags: [{ key: "f", enabeld: true, rollout: 1 }], segment: [] });
		const { err } = await tidegate(["import", "-"], { env, stdin });
		expect(err).toContain('/flags/0/enabeld: unknown field: did you mean "enabled"?');
		expect(err).toContain('/segment: unknown field: did you mean "segments"?');
		expect(err).not.toContain('mean "rollout"');
	});
});

describe("plan apply", () => {
	const plan = "rollout: x\nenvironment: production\nflags: [f]\nphases: [{percent: 100, hold: 1h, criteria: [error_rate < 3%]}]\n";
	const apply = (argv: string, env: Readonly<Record<string, string>>) =>
		tidegate(["plan", "apply", "-", ...argv.split(" ")], { env, stdin: plan });

	test("starts as told, and a start whose answer is lost is sent again, while the plan is sent once", async () => {
		const lost: ReturnType<typeof problem>[] = ["hang up"];
		const control = await standIn(({ path }) =>
			path.endsWith("/commands") ? (lost.shift() ?? { body: detail }) : { body: { ...detail, status: "draft" } },
		);
		expect(await apply("--start --manual --at 2026-03-01T08:00:00Z", control.env)).toMatchObject({ exit: EXIT.ok });
		expect(control.received.map(({ path }) => path.split("/").at(-1))).toEqual(["rollouts", "commands", "commands"]);
		expect(control.received[2]?.body).toEqual({ command: "start", manual: true, at: "2026-03-01T08:00:00Z", reason: "" });
	});

	test.each<[what: string, argv: string, text: string, exit: number, says: string]>([
		["a phase that there is not", "--start --from-phase nix", plan, EXIT.usage, "there is no phase nix: - has phase_1"],
		["a number beyond the last", "--start --from-phase 2", plan, EXIT.usage, "there is no phase 2: - has phase_1"],
	])("leaves no draft behind for %s", async (_what, argv, text, exit, says) => {
		const control = await standIn(() => ({ body: detail }));
		const done = await tidegate(["plan", "apply", "-", ...argv.split(" ")], { env: control.env, stdin: text });
		expect(done.err).toContain(says);
		expect({ exit: done.exit, sent: control.received }).toEqual({ exit, sent: [] });
	});

	test("tells of a draft that could not be started how to take it away", async () => {
		const control = await standIn(({ path }) =>
			path.endsWith("/commands") ? problem("invalid", 422, "flag f is killed") : { body: { ...detail, status: "draft" } },
		);
		const { exit, err } = await apply("--start --from-phase 1", control.env);
		expect(exit).toBe(EXIT.failure);
		expect(err).toContain("mend that and start it, or take it away: tidegate rollout cancel x.1");
	});

	test("takes what says how it starts with --start only", async () => {
		const control = await standIn(() => ({ body: detail }));
		expect(await apply("--manual", control.env)).toMatchObject({
			exit: EXIT.usage,
			err: "tidegate: --manual says how it starts: it takes --start\n",
		});
		expect(control.received).toEqual([]);
	});
});

describe("rollout list", () => {
	test("takes several statuses, and knows all there are", async () => {
		const control = await standIn(() => ({ body: { rollouts: [{ ...detail, status: "rolling_back" }], damaged: [] } }));
		const { out } = await said("rollout list --status rolling_back,awaiting_approval,scheduled,validating", control.env);
		expect(out).toContain("rolling_back");
		expect(control.received[0]?.path).toContain("status=rolling_back%2Cawaiting_approval%2Cscheduled%2Cvalidating");
	});
});

describe("rollout show", () => {
	test("says who is served, what was taken back, and what comes next", async () => {
		const phases = [{ name: "first", percent: 5, hold: "1h", audience: "staff" }];
		const control = await standIn(() => ({
			body: { ...detail, status: "awaiting_approval", holdback: 5, plan: { phases }, state: { phase: 0, dropped: ["cart"] }, next },
		}));
		const { out } = await said("rollout show x.1", control.env);
		expect(out).toMatch(/phase +first, 5 % of staff, 5 % held back\n/);
		expect(out).toMatch(/taken back +cart\n/);
		expect(out).toMatch(/next +second \(20 % of beta, with search\); 1 of 2 approvals \(bob\), from anybody but ann\n/);
	});

	test("of one that has ended says when, and no longer what it waited for", async () => {
		const health = { atMs: 0, decision: "hold", reason: "hold_not_served", message: "held 1m of 1h", level: "good", score: 80, percent: 5 };
		const control = await standIn(() => ({
			body: {
				...detail,
				status: "rolled_back",
				phase: null,
				state: { status: "rolled_back", atMs: 60_000, by: "ann", reason: "" },
				health,
			},
		}));
		const { out } = await said("rollout show x.1", control.env);
		expect(out).toMatch(/ended +1970-01-01T00:01:00Z\n/);
		expect(out).toMatch(/reason +none was given, by ann\n/);
		expect(out).not.toContain("held 1m");
	});

	test("of one that nothing is known of shows no score", async () => {
		const health = { atMs: 0, decision: "hold", reason: "no_data", message: "nobody came", level: "unknown", score: 80, percent: 5 };
		const control = await standIn(() => ({ body: { ...detail, health } }));
		expect((await said("rollout show x.1", control.env)).out).toMatch(/level +unknown, as of/);
	});
});
