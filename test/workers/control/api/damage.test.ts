import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { evaluate } from "../../../../core/flags/evaluate";
import { NO_OVERLAY } from "../../../../core/flags/overlay";
import { openSnapshot } from "../../../../core/flags/ruleset";
import { open } from "../../../../control/store/database";
import { readHead } from "../../../../control/store/publication";
import { tick } from "../../../../control/tick/tick";
import { aTick } from "../tick/fixtures";
import {
	FLAGS,
	type FlagBody,
	ROLLOUTS,
	type RolloutBody,
	auditOf,
	command,
	commandsOf,
	createFlag,
	createRollout,
	done,
	flagAt,
	refused,
	send,
} from "./harness";

/** Rows that this version cannot read, and rows that hold more than it knows. */

const headNow = async () => (await readHead(open(env.DB))).head;
const listed = () => done<{ rollouts: RolloutBody[]; damaged: string[] }>("GET", `${ROLLOUTS}?limit=1000`);
const listedFlags = () => done<{ flags: FlagBody[]; damaged: string[] }>("GET", FLAGS);
const activeFlagsOf = async (id: string) =>
	(await env.DB.prepare("SELECT flag FROM active_flags WHERE rollout = ?").bind(id).all<{ flag: string }>()).results.map(
		({ flag }) => flag,
	);

async function running(change: Record<string, unknown> = {}): Promise<RolloutBody> {
	const { id } = await createRollout(change);
	return command(id, "start");
}

async function damagedRollout(status = "running"): Promise<string> {
	const { id } = await running();
	if (status === "paused") await command(id, "pause");
	await env.DB.prepare(`UPDATE rollouts SET state = '{"status":"running"}' WHERE id = ?`).bind(id).run();
	return id;
}

async function damagedFlag(): Promise<string> {
	const { key } = await createFlag();
	await env.DB.prepare("UPDATE flags SET config = json_remove(config, '$.variants') WHERE key = ?").bind(key).run();
	return key;
}

/** What the edges are given once everything pending is published. */
async function published() {
	await tick(aTick(), Date.now());
	const version = (await headNow()).environments["production"]?.version ?? 0;
	const body = await env.SNAPSHOTS.get(`snapshot/production/${version}`, "arrayBuffer");
	return openSnapshot(new Uint8Array(body ?? new ArrayBuffer()), (bytes) => new TextDecoder().decode(bytes));
}

describe("a rollout whose row is damaged", () => {
	test("is listed as such, and hides no other", async () => {
		const other = await running();
		const id = await damagedRollout();
		const { rollouts, damaged } = await listed();
		expect(damaged).toContain(id);
		expect(rollouts.map((each) => each.id)).not.toContain(id);
		expect(rollouts).toContainEqual(expect.objectContaining({ id: other.id, status: "running" }));
		expect(await done("GET", `${ROLLOUTS}/${other.id}`)).toEqual(other);
	});

	test("is told to be damaged when it is read", async () => {
		const id = await damagedRollout();
		for (const path of [`${ROLLOUTS}/${id}`, `${ROLLOUTS}/${id}/events`]) {
			// oxlint-disable-next-line no-await-in-loop -- two requests
			const { type, detail } = await refused(500, "GET", path);
			expect(type).toBe("urn:tidegate:problem:rollout_damaged");
			expect(detail).toContain(id);
		}
	});

	test.each(["start", "pause", "resume", "advance"])("takes no %s, which would need it whole", async (name) => {
		const id = await damagedRollout();
		const rows = await auditOf(`rollouts/${id}`);
		expect((await refused(500, "POST", commandsOf(id), { body: { command: name } })).type).toBe("urn:tidegate:problem:rollout_damaged");
		expect(await auditOf(`rollouts/${id}`)).toEqual(rows);
	});

	test.each([
		["running", "roll_back"],
		["paused", "roll_back"],
		["running", "cancel"],
	])("(%s) takes %s: its users go back, its flag is free, and why is kept", async (status, name) => {
		const id = await damagedRollout(status);
		const [flag = ""] = await activeFlagsOf(id);
		const { revision } = await headNow();
		expect(await command(id, name, "it is damaged", { "x-correlation-id": "night-7" })).toMatchObject({ id, status: "rolled_back" });
		const head = await headNow();
		expect(head.environments["production"]?.overlay.baseline).toContain(id);
		expect(head.revision).toBeGreaterThan(revision);
		expect(await activeFlagsOf(id)).toEqual([]);
		const { events } = await done<{ events: object[] }>("GET", `${ROLLOUTS}/${id}/events`);
		const said = { actor: "admin", correlationId: "night-7", before: { status, damaged: true }, after: { status: "rolled_back" } };
		expect(events.at(-1)).toMatchObject({
			...said,
			revision: events.length,
			kind: "roll_back",
			reason: "operator",
			message: "it is damaged",
		});
		expect((await auditOf(`rollouts/${id}`)).at(-1)).toMatchObject({ ...said, action: "rollout.roll_back", reason: "it is damaged" });
		expect((await listed()).damaged).not.toContain(id);
		// And the flag's next rollout starts.
		expect((await running({ flags: [flag] })).status).toBe("running");
	});

	test.each(["plan", "state"])("(draft, its %s) is cancelled: nobody was served, so nobody goes back, and why is kept", async (column) => {
		const { id } = await createRollout();
		await env.DB.prepare(`UPDATE rollouts SET ${column} = '{}' WHERE id = ?`).bind(id).run();
		const { detail } = await refused(500, "GET", `${ROLLOUTS}/${id}`);
		expect(detail).toContain("cancel");
		const { revision } = await headNow();
		const after = await command(id, "cancel", "it is damaged", { "x-correlation-id": "night-8" });
		expect(after).toMatchObject({ id, status: "cancelled", revision: 1 });
		expect((await headNow()).revision).toBe(revision);
		const said = { actor: "admin", correlationId: "night-8", before: { status: "draft", damaged: true }, after: { status: "cancelled" } };
		expect((await auditOf(`rollouts/${id}`)).slice(1)).toMatchObject([{ ...said, action: "rollout.cancel", reason: "it is damaged" }]);
		const events = await env.DB.prepare("SELECT kind, reason, message FROM rollout_events WHERE rollout = ?").bind(id).all();
		expect(events.results).toEqual([{ kind: "cancel", reason: "operator", message: "it is damaged" }]);
		const told = await env.DB.prepare("SELECT type FROM outbox WHERE subject = ?").bind(id).all();
		expect(told.results).toEqual([{ type: "rollout.cancelled" }]);
		const rows = await env.DB.prepare("SELECT count(*) AS n FROM rollbacks WHERE rollout = ?").bind(id).first();
		expect(rows).toEqual({ n: 0 });
	});

	test("is rolled back once, however often it is asked for at once", async () => {
		const id = await damagedRollout();
		const answers = await Promise.all([1, 2, 3].map(() => command(id, "roll_back")));
		expect(answers.map(({ status }) => status)).toEqual(Array(3).fill("rolled_back"));
		const { events } = await done<{ events: { kind: string }[] }>("GET", `${ROLLOUTS}/${id}/events`);
		expect(events.map(({ kind }) => kind)).toEqual(["start", "roll_back"]);
	});

	test("says of a second rollback that it changed nothing", async () => {
		const id = await damagedRollout();
		const back = () => send("POST", commandsOf(id), { body: { command: "roll_back" } });
		expect((await back()).headers.get("rollout-unchanged")).toBeNull();
		expect((await back()).headers.get("rollout-unchanged")).toBe("true");
	});

	test("does not keep the others from starting and ending, its own flag from being told as taken", async () => {
		const id = await damagedRollout();
		const [flag = ""] = await activeFlagsOf(id);
		const other = await running();
		expect((await command(other.id, "advance")).phase).toBe("phase_2");
		expect((await command(other.id, "roll_back")).status).toBe("rolled_back");
		expect((await refused(409, "PATCH", flagAt(flag), { body: { salt: "x" }, headers: { "if-match": '"1"' } }))["rollout"]).toBe(id);
	});

	test("whose plan is no JSON costs no relaunch of others its α", async () => {
		const { key } = await createFlag();
		const first = await running({ flags: [key] });
		await command(first.id, "roll_back");
		await env.DB.prepare("UPDATE rollouts SET plan = '{' WHERE id = ?").bind(first.id).run();
		const second = await running({ flags: [key] });
		expect(second.state.alpha).toBe(0.0125);
		expect((await listed()).damaged).toContain(first.id);
	});

	test("serves nobody the candidate any more, and the other flags' snapshot goes on", async () => {
		const id = await damagedRollout();
		const [flag = ""] = await activeFlagsOf(id);
		const other = await createFlag({ fallthrough: "true" });
		const snapshot = await published();
		expect(snapshot.measured().rollouts.map(({ key }) => key)).not.toContain(id);
		for (let i = 0; i < 200; i++)
			expect(evaluate(snapshot, NO_OVERLAY, flag, { targetingKey: `user-${i}` })).toMatchObject({ value: false });
		expect(evaluate(snapshot, NO_OVERLAY, other.key, {})).toMatchObject({ value: true });
	});
});

describe("a rollout whose criteria this version cannot read any more", () => {
	async function unreadable(change: Record<string, unknown> = {}): Promise<string> {
		const { id } = await running(change);
		await env.DB.prepare(`UPDATE rollouts SET plan = json_set(plan, '$.guards', json('["nonsense_rate vs control <= +25%"]')) WHERE id = ?`)
			.bind(id)
			.run();
		return id;
	}

	test("is damaged alone: the list, the others and the environment's state are told", async () => {
		const other = await running();
		const id = await unreadable();
		const { rollouts, damaged } = await listed();
		expect(damaged).toContain(id);
		expect(rollouts).toContainEqual(expect.objectContaining({ id: other.id, status: "running" }));
		expect((await refused(500, "GET", `${ROLLOUTS}/${id}`)).type).toBe("urn:tidegate:problem:rollout_damaged");
		await done("GET", "/api/v1/deployment/status?environment=production");
	});

	test.each(["roll_back", "cancel"])("takes %s", async (name) => {
		const id = await unreadable();
		expect(await command(id, name, "its metric is gone")).toMatchObject({ id, status: "rolled_back" });
		expect(await activeFlagsOf(id)).toEqual([]);
	});

	test("stays rolled back once the overlay is lifted: the next body is without it", async () => {
		const id = await unreadable();
		const [flag = ""] = await activeFlagsOf(id);
		await command(id, "roll_back");
		await tick(aTick(), Date.now());
		await env.DB.prepare("UPDATE overlays SET added_at_ms = 0").run();
		const snapshot = await published();
		expect((await headNow()).environments["production"]?.overlay.baseline).not.toContain(id);
		expect(snapshot.measured().rollouts.map(({ key }) => key)).not.toContain(id);
		for (let i = 0; i < 200; i++)
			expect(evaluate(snapshot, NO_OVERLAY, flag, { targetingKey: `user-${i}` })).toMatchObject({ value: false });
	});
});

describe("a flag whose row is damaged", () => {
	test("is listed as such, and hides no other", async () => {
		const other = await createFlag();
		const key = await damagedFlag();
		const { flags, damaged } = await listedFlags();
		expect(damaged).toContain(key);
		expect(flags.map((flag) => flag.key)).not.toContain(key);
		expect(flags).toContainEqual(other);
	});

	test("resolves to PARSE_ERROR, and the environment's other flags to their values", async () => {
		const key = await damagedFlag();
		const other = await createFlag({ fallthrough: "true" });
		const snapshot = await published();
		expect(evaluate(snapshot, NO_OVERLAY, key, { targetingKey: "anna" })).toMatchObject({ reason: "ERROR", errorCode: "PARSE_ERROR" });
		expect(evaluate(snapshot, NO_OVERLAY, other.key, { targetingKey: "anna" })).toMatchObject({ value: true });
		expect(snapshot.keys()).toEqual(expect.arrayContaining([key, other.key]));
	});

	test("whose variants no longer fit its rollout damages itself alone", async () => {
		const { key } = await createFlag();
		const { id } = await running({ flags: [key] });
		await env.DB.prepare("UPDATE flags SET config = json_remove(config, '$.variants.true') WHERE key = ?").bind(key).run();
		const other = await createFlag({ fallthrough: "true" });
		const snapshot = await published();
		expect(evaluate(snapshot, NO_OVERLAY, key, { targetingKey: "anna" })).toMatchObject({ errorCode: "PARSE_ERROR" });
		expect(evaluate(snapshot, NO_OVERLAY, other.key, {})).toMatchObject({ value: true });
		await command(id, "roll_back");
	});
});

describe("what a newer version stored", () => {
	test("beside a flag's fields is dropped, and the flag works", async () => {
		const flag = await createFlag({ fallthrough: "true", targets: [{ variant: "true", keys: ["ann"] }] });
		await env.DB.prepare("UPDATE flags SET config = json_set(config, '$.future', json('[1]'), '$.targets[0].future', 1) WHERE key = ?")
			.bind(flag.key)
			.run();
		expect(await done("GET", flagAt(flag.key))).toEqual(flag);
		const { flags, damaged } = await listedFlags();
		expect(flags).toContainEqual(flag);
		expect(damaged).not.toContain(flag.key);
		expect(evaluate(await published(), NO_OVERLAY, flag.key, {})).toMatchObject({ value: true });
		await done("PATCH", flagAt(flag.key), { body: { fallthrough: "false" }, headers: { "if-match": '"1"' } });
		expect((await running({ flags: [flag.key] })).status).toBe("running");
	});

	test("beside a rollout's fields is dropped, and the rollout goes on", async () => {
		const before = await running();
		const { id } = before;
		await env.DB.prepare(
			`UPDATE rollouts SET plan = json_set(plan, '$.future', 1, '$.phases[0].future', 1),
			state = json_set(state, '$.future', 1, '$.watch.future', 1, '$.watch.guards[0].future', 1, '$.watch.guards[0].harm.future', 1,
				'$.watch.exposures', json('[{"served":5000,"candidate":1,"control":19,"future":1}]')) WHERE id = ?`,
		)
			.bind(id)
			.run();
		const after = await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`);
		expect(JSON.stringify(after)).not.toContain("future");
		expect(after.plan).toEqual(before.plan);
		const { rollouts, damaged } = await listed();
		expect(rollouts.map((each) => each.id)).toContain(id);
		expect(damaged).not.toContain(id);
		expect((await published()).measured().rollouts.map(({ key }) => key)).toContain(id);
		expect((await done<RolloutBody>("GET", `${ROLLOUTS}/${id}`)).health).toMatchObject({ reason: "no_data" });
		expect((await command(id, "advance")).phase).toBe("phase_2");
		await env.DB.prepare("UPDATE rollouts SET state = json_set(state, '$.before.future', 1) WHERE id = ?").bind(id).run();
		expect((await command(id, "pause")).status).toBe("paused");
		await env.DB.prepare("UPDATE rollouts SET state = json_set(state, '$.future', 1) WHERE id = ?").bind(id).run();
		expect((await command(id, "roll_back")).status).toBe("rolled_back");
		await env.DB.prepare("UPDATE rollouts SET state = json_set(state, '$.future', 1) WHERE id = ?").bind(id).run();
		expect((await command(id, "roll_back")).status).toBe("rolled_back");
	});
});
