import * as z from "zod";
import { type Check, checks } from "../../../core/checks/model";
import type { CheckResult } from "../../../core/checks/result";

/** With its defaults. */
export function aCheck(given: object): Check {
	const [check] = z.parse(checks, [{ name: "smoke", ...given }]);
	if (!check) throw new Error("no check");
	return check;
}

export const aResult = (change: Partial<CheckResult> = {}): CheckResult => ({
	name: "smoke",
	status: "passed",
	critical: true,
	message: "",
	attempts: 1,
	durationMs: 5,
	atMs: 0,
	...change,
});
