import { describe, expect, test } from "vitest";
import {
	command,
	createFlag,
	createRollout,
	done,
	flagAt,
	pointersOf,
	refused,
	ROLLOUTS,
	type FlagBody,
	type RolloutBody,
} from "./harness";

const MANUAL = "/api/v1/deployment/rollback/manual";
const reason = "checkout is down";

async function running(): Promise<{ id: string; flag: string }> {
	const { key: flag } = await createFlag();
	const { id } = await createRollout({ flags: [flag] });
	await command(id, "start");
	return { id, flag };
}

describe("POST /api/v1/deployment/rollback/manual", () => {
	test("ends what is named, says what that was, and is answered again when it is sent again", async () => {
		const [one, other] = [await running(), await running()];
		const sent = { body: { flags: [one.flag], reason } };
		expect(await done("POST", MANUAL, sent)).toEqual({
			environment: "production",
			rolledBack: [one.id],
			killed: [],
			notInRollout: [],
			unknown: [],
			headRevision: expect.any(Number),
			publishing: true,
		});
		expect(await done("POST", MANUAL, sent)).toMatchObject({ rolledBack: [], notInRollout: [one.flag] });
		const { status } = await done<RolloutBody>("GET", `${ROLLOUTS}/${other.id}`);
		expect(status).toBe("running");
		expect(await done("POST", MANUAL, { body: { all: true, reason } })).toMatchObject({ rolledBack: [other.id] });
	});

	test("kills the flags besides where it is told to", async () => {
		const { key } = await createFlag();
		expect(await done("POST", MANUAL, { body: { flags: [key], kill: true, reason } })).toMatchObject({
			killed: [key],
			notInRollout: [key],
		});
		expect((await done<FlagBody>("GET", flagAt(key))).enabled).toBe(false);
	});

	test.each<[what: string, body: Record<string, unknown>, pointer: string]>([
		["no reason", { all: true }, "/reason"],
		["a blank reason", { all: true, reason: "  " }, "/reason"],
		["nothing to end", { reason }, ""],
		["two ways to say it", { all: true, flags: ["a"], reason }, ""],
		["no flags", { flags: [], reason }, "/flags"],
		["too many", { rollouts: Array.from({ length: 1_001 }, (_, i) => `r-${i}`), reason }, "/rollouts"],
		["a kill of no flags", { all: true, kill: true, reason }, "/kill"],
		["a field that is none", { all: true, reason, force: true }, "/force"],
	])("refuses %s", async (_, body, pointer) => {
		expect(pointersOf(await refused(422, "POST", MANUAL, { body }))).toContain(pointer);
	});
});
