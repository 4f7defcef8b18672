import { msOf } from "../../core/checks/duration";
import type { CheckOf } from "../../core/checks/model";
import { type Limit, meets, parseCriterion } from "../../core/health/criteria";
import { printNumber, printPercent } from "../../core/health/print";
import type { Performance } from "../metrics/source";
import { type CheckContext, type CheckDeps, type Finding, failed, passed } from "./finding";

/** What the outcomes of the whole environment say, over requests and not over users. */
export async function lookAtMetric(
	{ metric: text, over }: CheckOf<"metric">,
	{ metrics: source, realNow }: CheckDeps,
	{ environment, metrics }: CheckContext,
): Promise<Finding> {
	const parsed = parseCriterion(text, "criterion", metrics);
	if (!parsed.ok) return failed(`metric: ${parsed.error.message}`);
	const limit = parsed.value;
	if (limit.kind !== "limit") return failed("metric: takes a limit");
	const toMs = realNow();
	const all = await source.performance(environment, toMs - msOf(over), toMs);
	const row = all.find(({ flag, variant, metric }) => flag === "" && variant === "" && metric === limit.metric);
	// Nobody knows yet: that holds, and is asked again.
	if (!row || row.requests === 0) return { status: "pending", message: `nobody has reported ${limit.metric} within ${over}` };
	const value = valueOf(limit, row);
	if (value === undefined) return failed(`metric: ${limit.aggregate} is not known of a whole environment`);
	const print = limit.aggregate === "rate" ? printPercent(value) : `${printNumber(value)}${limit.unit === "" ? "" : ` ${limit.unit}`}`;
	const said = `${print} over ${printNumber(row.requests)} requests within ${over}`;
	return meets(limit, value) ? passed(said) : failed(`${said}: not ${text}`);
}

function valueOf({ aggregate }: Limit, { requests, sum, p50, p95, p99 }: Performance): number | undefined {
	const quantiles: Readonly<Record<string, number>> = { p50, p95, p99 };
	return aggregate === "rate" || aggregate === "mean" ? sum / requests : quantiles[aggregate];
}
