import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import {
	type FlagBody,
	ROLLOUTS,
	type RolloutBody,
	aPhase,
	auditOf,
	command,
	commandsOf,
	createFlag,
	createRollout,
	done,
	flagAt,
	newKey,
	refused,
	send,
} from "./harness";

/** A command that may have been carried out can be sent again. */

const keyed = (key: string, name: string) => ({ body: { command: name }, headers: { "idempotency-key": key } });

async function kindsOf(id: string): Promise<string[]> {
	const found = await env.DB.prepare("SELECT kind FROM rollout_events WHERE rollout = ? ORDER BY revision")
		.bind(id)
		.all<{ kind: string }>();
	return found.results.map(({ kind }) => kind);
}

async function running(): Promise<string> {
	const { id } = await createRollout({ phases: [aPhase({ percent: 5 }), aPhase({ percent: 20 }), aPhase()] });
	await command(id, "start");
	return id;
}

test("with the same key a command is carried out once, and its repetition says so", async () => {
	const [id, key] = [await running(), newKey()];
	const first = await send<RolloutBody>("POST", commandsOf(id), keyed(key, "advance"));
	const again = await send<RolloutBody>("POST", commandsOf(id), keyed(key, "advance"));
	expect([first.status, first.headers.get("idempotent-replayed")]).toEqual([200, null]);
	expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
	expect(again.body).toEqual(first.body);
	expect(await kindsOf(id)).toEqual(["start", "advance"]);
	expect((await auditOf(`rollouts/${id}`)).filter(({ action }) => action === "rollout.advance")).toHaveLength(1);
});

test("without a key, or with another one, it is carried out again", async () => {
	const id = await running();
	await send("POST", commandsOf(id), keyed(newKey(), "advance"));
	await send("POST", commandsOf(id), keyed(newKey(), "advance"));
	expect(await kindsOf(id)).toEqual(["start", "advance", "advance"]);
});

test("a key that another command of the rollout has had is refused, and changes nothing", async () => {
	const [id, key] = [await running(), newKey()];
	await send("POST", commandsOf(id), keyed(key, "advance"));
	const problem = await refused(422, "POST", commandsOf(id), keyed(key, "pause"));
	expect(problem.detail).toContain("advance");
	expect(await kindsOf(id)).toEqual(["start", "advance"]);
});

test("a key is one rollout's own", async () => {
	const [a, b, key] = [await running(), await running(), newKey()];
	await send("POST", commandsOf(a), keyed(key, "pause"));
	const other = await send<RolloutBody>("POST", commandsOf(b), keyed(key, "pause"));
	expect([other.status, other.headers.get("idempotent-replayed"), other.body.status]).toEqual([200, null, "paused"]);
});

test.each(["advance", "pause", "roll_back"])(
	"%s sent three times at once with one key is carried out once, and each is told so",
	async (name) => {
		const [id, key] = [await running(), newKey()];
		const answers = await Promise.all([1, 2, 3].map(() => send("POST", commandsOf(id), keyed(key, name))));
		expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
		expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === "true")).toHaveLength(2);
		expect(await kindsOf(id)).toEqual(["start", name]);
	},
);

const statusOf = async (id: string): Promise<string> => (await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`)).status;
const under = (key: string, body: object) => ({ body, headers: { "idempotency-key": key } });

describe("a key that was sent with another body", () => {
	const targeted = { command: "roll_back", strategy: "targeted", keys: ["ann"], reason: "hers" };
	const immediate = { command: "roll_back", reason: "all of it now" };

	test("is refused though the command is the same: nobody is told that everybody is back while they are not", async () => {
		const [id, key] = [await running(), newKey()];
		await send("POST", commandsOf(id), under(key, targeted));
		const problem = await refused(422, "POST", commandsOf(id), under(key, immediate));
		expect(problem.type).toBe("urn:tidegate:problem:idempotency_key_used");
		expect(problem.detail).toContain("another body");
		expect([await statusOf(id), await kindsOf(id)]).toEqual(["running", ["start", "exclude"]]);
		const other = await send<RolloutBody>("POST", commandsOf(id), under(newKey(), immediate));
		expect([other.status, other.body.status]).toEqual([200, "rolled_back"]);
	});

	test.each([
		["another reason", { ...targeted, reason: "his" }],
		["other keys", { ...targeted, keys: ["bob"] }],
		["more keys", { ...targeted, keys: ["ann", "bob"] }],
	])("is refused with %s", async (_, body) => {
		const [id, key] = [await running(), newKey()];
		await send("POST", commandsOf(id), under(key, targeted));
		await refused(422, "POST", commandsOf(id), under(key, body));
	});

	test("is not, where only the order of its fields is another, and what is the default is said", async () => {
		const [id, key] = [await running(), newKey()];
		await send("POST", commandsOf(id), under(key, { command: "pause" }));
		const again = await send("POST", commandsOf(id), under(key, { reason: "", command: "pause" }));
		expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
	});

	test("and was kept before bodies were is told by the command alone", async () => {
		const [id, key] = [await running(), newKey()];
		await send("POST", commandsOf(id), keyed(key, "pause"));
		await env.DB.prepare("UPDATE rollout_events SET idempotency_key = ?2 WHERE rollout = ?1 AND kind = 'pause'").bind(id, key).run();
		const again = await send("POST", commandsOf(id), under(key, { command: "pause", reason: "other words" }));
		expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
		await refused(422, "POST", commandsOf(id), keyed(key, "resume"));
	});
});

test("keys that begin alike, or hold what SQL reads as a pattern, are different keys", async () => {
	const id = await running();
	const key = newKey();
	const kinds = ["pause", "resume", "pause", "resume", "pause"];
	for (const [i, each] of [key, `${key}!`, `${key}%`, "%", "_".repeat(key.length)].entries())
		// oxlint-disable-next-line no-await-in-loop -- one after the other
		expect((await send("POST", commandsOf(id), keyed(each, kinds[i] ?? ""))).headers.get("idempotent-replayed")).toBe(null);
	expect(await kindsOf(id)).toEqual(["start", ...kinds]);
});

describe("advance-phase with a key", () => {
	const advance = (flag: string, key: string, reason = "go") =>
		[`/api/v1/deployment/features/${flag}/advance-phase?environment=production`, under(key, { reason })] as const;
	async function ofFlag(): Promise<{ id: string; flag: string }> {
		const { key: flag } = await createFlag();
		const { id } = await createRollout({ flags: [flag] });
		await command(id, "start");
		return { id, flag };
	}

	test("advances once, however often it is sent, and at once", async () => {
		const [{ id, flag }, key] = [await ofFlag(), newKey()];
		const answers = await Promise.all([1, 2, 3].map(() => send<RolloutBody>("POST", ...advance(flag, key))));
		expect(answers.map(({ status, body }) => [status, body.phase])).toEqual([1, 2, 3].map(() => [200, "phase_2"]));
		expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === "true")).toHaveLength(2);
		expect(await kindsOf(id)).toEqual(["start", "advance"]);
		await refused(422, "POST", ...advance(flag, key, "another reason"));
		expect((await send<RolloutBody>("POST", ...advance(flag, newKey()))).body.phase).toBe("phase_3");
	});

	test("that has completed its rollout says so again, and leaves the flag's next rollout alone", async () => {
		const [{ id, flag }, key] = [await ofFlag(), newKey()];
		await command(id, "advance");
		await command(id, "advance");
		const first = await send<RolloutBody>("POST", ...advance(flag, key));
		expect(first.body).toMatchObject({ id, status: "completed" });
		const again = await send<RolloutBody>("POST", ...advance(flag, key));
		expect([again.headers.get("idempotent-replayed"), again.body]).toEqual(["true", first.body]);
		await done("PATCH", flagAt(flag), { body: { fallthrough: "false" }, headers: { "if-match": '"2"' } });
		const next = await createRollout({ flags: [flag] });
		await command(next.id, "start");
		expect((await send<RolloutBody>("POST", ...advance(flag, key))).body).toEqual(first.body);
		expect(await kindsOf(next.id)).toEqual(["start"]);
	});
});

describe("an emergency rollback with a key", () => {
	const MANUAL = "/api/v1/deployment/rollback/manual";
	const HOUR_MS = 3_600_000;
	interface Outcome {
		readonly rolledBack: readonly string[];
		readonly killed: readonly string[];
	}

	test("is carried out once: what was started since goes on, and the first answer is given again", async () => {
		const [ended, key] = [await running(), newKey()];
		const sent = under(key, { all: true, reason: "checkout is down" });
		const first = await send<Outcome>("POST", MANUAL, sent);
		expect(first.body.rolledBack).toContain(ended);
		const later = await running();
		const again = await send<Outcome>("POST", MANUAL, sent);
		expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
		expect(again.body.rolledBack).toEqual(first.body.rolledBack);
		expect(await statusOf(later)).toBe("running");
		expect((await done<Outcome>("POST", MANUAL, under(newKey(), { all: true, reason: "again" }))).rolledBack).toEqual([later]);
	});

	test("tells again what it has killed, and kills nothing that was switched on since", async () => {
		const [{ key: inRollout }, { key: alone }, { key: off }] = [
			await createFlag(),
			await createFlag(),
			await createFlag({ enabled: false }),
		];
		const { id } = await createRollout({ flags: [inRollout] });
		await command(id, "start");
		const sent = under(newKey(), { flags: [inRollout, alone, off, "nobody"], kill: true, reason: "both" });
		const first = await done<Outcome>("POST", MANUAL, sent);
		expect(first).toMatchObject({ rolledBack: [id], killed: [inRollout, alone], notInRollout: [alone, off], unknown: ["nobody"] });
		await done("PATCH", flagAt(alone), { body: { enabled: true }, headers: { "if-match": '"2"' } });
		expect(await done<Outcome>("POST", MANUAL, sent)).toEqual({ ...first, headRevision: expect.any(Number) });
		expect((await done<FlagBody>("GET", flagAt(alone))).enabled).toBe(true);
	});

	test("that only kills leaves on what was switched on since, and the first answer is given again", async () => {
		const [{ key: flag }, { key: off }, key] = [await createFlag(), await createFlag({ enabled: false }), newKey()];
		const sent = under(key, { flags: [flag, off, "nobody"], kill: true, reason: "leaks" });
		const first = await send<Outcome>("POST", MANUAL, sent);
		expect(first.body).toMatchObject({ rolledBack: [], killed: [flag], notInRollout: [flag, off], unknown: ["nobody"] });
		expect(first.headers.get("idempotent-replayed")).toBeNull();
		for (const [each, version] of [
			[flag, 2],
			[off, 1],
		] as const)
			// oxlint-disable-next-line no-await-in-loop -- two flags
			await done("PATCH", flagAt(each), { body: { enabled: true }, headers: { "if-match": `"${version}"` } });
		const again = await send<Outcome>("POST", MANUAL, sent);
		expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
		expect(again.body).toEqual({ ...first.body, headRevision: expect.any(Number) });
		expect((await done<FlagBody>("GET", flagAt(flag))).enabled).toBe(true);
		expect((await done<FlagBody>("GET", flagAt(off))).enabled).toBe(true);
		await refused(422, "POST", MANUAL, under(key, { flags: [off], kill: true, reason: "leaks" }));
		expect((await done<FlagBody>("GET", flagAt(off))).enabled).toBe(true);
		const anew = under(newKey(), { flags: [flag], kill: true, reason: "leaks again" });
		expect((await done<Outcome>("POST", MANUAL, anew)).killed).toEqual([flag]);
	});

	test("that found every flag off already leaves on what was switched on since", async () => {
		const { key: off } = await createFlag({ enabled: false });
		const sent = under(newKey(), { flags: [off], kill: true, reason: "leaks" });
		expect((await done<Outcome>("POST", MANUAL, sent)).killed).toEqual([]);
		await done("PATCH", flagAt(off), { body: { enabled: true }, headers: { "if-match": '"1"' } });
		expect((await done<Outcome>("POST", MANUAL, sent)).killed).toEqual([]);
		expect((await done<FlagBody>("GET", flagAt(off))).enabled).toBe(true);
	});

	test("that only kills, sent three times at once, kills once, and each is told what", async () => {
		const { key: flag } = await createFlag();
		const sent = under(newKey(), { flags: [flag], kill: true, reason: "leaks" });
		const answers = await Promise.all([1, 2, 3].map(() => send<Outcome>("POST", MANUAL, sent)));
		expect(answers.map(({ status, body }) => [status, body.killed])).toEqual([1, 2, 3].map(() => [200, [flag]]));
		expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === "true")).toHaveLength(2);
		expect((await done<FlagBody>("GET", flagAt(flag))).version).toBe(2);
	});

	test("is carried out again where what it left cannot be read: nobody in need is left out", async () => {
		const [{ key: flag }, key] = [await createFlag(), newKey()];
		const sent = under(key, { flags: [flag], kill: true, reason: "leaks" });
		await done("POST", MANUAL, sent);
		await env.DB.prepare(`UPDATE audit SET "after" = '{' WHERE resource = ?`).bind(`emergencies/production/${key}`).run();
		await done("PATCH", flagAt(flag), { body: { enabled: true }, headers: { "if-match": '"2"' } });
		expect((await done<Outcome>("POST", MANUAL, sent)).killed).toEqual([flag]);
	});

	test("sent three times at once rolls back once, and each is told what", async () => {
		const [id, key] = [await running(), newKey()];
		const sent = under(key, { rollouts: [id], reason: "checkout is down" });
		const answers = await Promise.all([1, 2, 3].map(() => send<Outcome>("POST", MANUAL, sent)));
		expect(answers.map(({ status, body }) => [status, body.rolledBack])).toEqual([1, 2, 3].map(() => [200, [id]]));
		expect(await kindsOf(id)).toEqual(["start", "roll_back"]);
	});

	test("and another body is refused, and changes nothing", async () => {
		const [id, other, key] = [await running(), await running(), newKey()];
		await done("POST", MANUAL, under(key, { rollouts: [id], reason: "checkout is down" }));
		await refused(422, "POST", MANUAL, under(key, { rollouts: [other], reason: "checkout is down" }));
		expect(await statusOf(other)).toBe("running");
	});

	test("is carried out again an hour later, or where a command alone has had the key: nobody in need is left out", async () => {
		const [id, other, key] = [await running(), await running(), newKey()];
		await send("POST", commandsOf(other), under(key, { command: "roll_back", reason: "one" }));
		const sent = under(key, { all: true, reason: "checkout is down" });
		expect((await done<Outcome>("POST", MANUAL, sent)).rolledBack).toContain(id);
		const later = await running();
		const headers = { ...sent.headers, "x-tidegate-now": String(Date.now() + HOUR_MS + 60_000) };
		expect((await done<Outcome>("POST", MANUAL, { ...sent, headers })).rolledBack).toEqual([later]);
	});
});
