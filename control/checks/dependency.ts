import { msOf } from "../../core/checks/duration";
import type { CheckOf } from "../../core/checks/model";
import { keepsTo, parseReading } from "../../core/checks/reading";
import { printNumber } from "../../core/health/print";
import { type CheckContext, type CheckDeps, type Finding, failed, passed } from "./finding";

/** What an origin says of itself; one that says nothing is not well. */
export async function lookAtDependency(
	{ dependency, metric: text, fresh }: CheckOf<"dependency">,
	{ metrics: source, realNow }: CheckDeps,
	{ environment }: CheckContext,
): Promise<Finding> {
	const fromMs = realNow() - msOf(fresh);
	const said = (await source.system(environment, fromMs)).filter(({ origin, lastAtMs }) => origin === dependency && lastAtMs >= fromMs);
	if (said.length === 0) return failed(`${dependency} has reported nothing within ${fresh}`);
	if (text === undefined) return passed(`${dependency} has reported within ${fresh}`);
	const limit = parseReading(text);
	if (!limit.ok) return failed(`metric: ${limit.error}`);
	const { metric, aggregate } = limit.value;
	const found = said.find((each) => each.metric === metric);
	if (!found) return failed(`${dependency} has not reported ${metric} within ${fresh}`);
	const told = `${metric} ${aggregate} of ${dependency} is ${printNumber(found[aggregate])}`;
	return keepsTo(limit.value, found[aggregate]) ? passed(told) : failed(`${told}: not ${text}`);
}
