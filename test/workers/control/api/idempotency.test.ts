import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { type RolloutBody, aPhase, auditOf, command, commandsOf, createRollout, newKey, refused, send } from "./harness";

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
