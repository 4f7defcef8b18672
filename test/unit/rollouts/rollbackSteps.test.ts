import { describe, expect, test } from "vitest";
import { checkPlan } from "../../../core/rollouts/checkPlan";
import { storedPlan } from "../../../core/rollouts/plan";
import { aPlan } from "./fixtures";

/** What is called after a rollback is checked while there is time: when the plan is written. */

describe("a step after a rollback", () => {
	const step = (change: Record<string, unknown>) =>
		checkPlan(aPlan({ rollback: { steps: [{ name: "purge", http: "https://origin.example/purge", ...change }] } }));

	test.each(["", "not a url", "origin.example/purge", "ftp://origin.example/", "https://", "https:///purge", "https://a b/"])(
		"is refused where its address is no URL: %j",
		(http) =>
			expect(step({ http })).toEqual([{ pointer: "/rollback/steps/0/http", message: expect.stringMatching(/^takes a URL, as in/) }]),
	);

	test.each(["0s", "11s", "1m", "1h", "3d"])("is refused with a time-out that it would not get: %s", (timeout) => {
		expect(step({ timeout })).toEqual([
			{ pointer: "/rollback/steps/0/timeout", message: "takes 1s to 10s: a rollback's steps are not waited for longer" },
		]);
	});

	test.each(["1s", "10s"])("may take %s", (timeout) => expect(step({ timeout })).toEqual([]));

	test("that was stored before can be read all the same", () => {
		const steps = [{ name: "purge", http: "not a url", timeout: "1h" }];
		expect(storedPlan.safeParse({ ...aPlan(), rollback: { steps } })).toMatchObject({ success: true });
	});
});
