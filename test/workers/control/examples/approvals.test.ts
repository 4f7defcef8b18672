import { beforeAll, expect, test } from "vitest";
import approvals from "../../../../examples/approvals.yaml?raw";
import { type FlagBody, done, flagAt } from "../api/harness";
import { MINUTE_MS } from "../tick/fixtures";
import {
	applied,
	changesOf,
	commanded,
	expectAudited,
	expectNobodyMovesBack,
	expectShares,
	importFlags,
	isCompleted,
	live,
	served,
	sharesOf,
} from "./town";

beforeAll(importFlags);

const tokenOf = async (name: string): Promise<Record<string, string>> => {
	const { token } = await done<{ token: string }>("POST", "/api/v1/tokens", { body: { name, role: "operator" } });
	return { authorization: `Bearer ${token}` };
};

test("two others let it go on, it ends at its target, and the split that it leaves moves nobody", async () => {
	const { id } = await applied(approvals);
	await commanded(id, "start");
	const town = { id, flags: ["new-recommendations"], stepMs: 10 * MINUTE_MS, visits: 900 };
	const isAsking = ({ status }: { readonly status: string }): boolean => status === "awaiting_approval";
	const scenes = await live(town, isAsking);
	const [anna, ben] = [await tokenOf("anna"), await tokenOf("ben")];
	await commanded(id, "approve", {}, anna);
	await commanded(id, "approve", {}, ben);
	scenes.push(...(await live(town, ({ phase }) => phase === "third")), ...(await live(town, isAsking)));
	await commanded(id, "approve", {}, anna);
	scenes.push(...(await live(town, isCompleted)));
	expectShares([...new Set(sharesOf(scenes, "new-recommendations"))], [10, 30, 60]);
	expectNobodyMovesBack(scenes);
	const [before, after] = scenes.slice(-2).map(({ candidates }) => candidates.get("new-recommendations"));
	expect(after).toEqual(before);
	expect(await done<FlagBody>("GET", flagAt("new-recommendations"))).toMatchObject({
		salt: id,
		fallthrough: [
			{ variant: "true", weight: 60_000 },
			{ variant: "false", weight: 40_000 },
		],
	});
	expect((await changesOf(id)).map(([kind]) => kind)).toEqual([
		"start",
		"await_approval",
		"approve",
		"approve",
		"advance",
		"await_approval",
		"approve",
		"advance",
		"complete",
	]);
	await expectAudited(id);
	expect((await served()).snapshot.measured().rollouts).toEqual([]);
});
