import { msOf } from "../../core/checks/duration";
import type { CheckOf } from "../../core/checks/model";
import { findReport } from "../store/checkReports";
import type { CheckContext, CheckDeps, Finding } from "./finding";

const DETAIL_SHOWN_MAX = 300;

/** The newest result that somebody posted under this name. */
export async function lookAtReport(
	{ reported, stale }: CheckOf<"reported">,
	{ db }: CheckDeps,
	{ environment }: CheckContext,
	now: number,
): Promise<Finding> {
	const report = await findReport(db, environment, reported);
	if (!report) return { status: "pending", message: `nobody has reported ${reported} yet` };
	const { status, detail, actor, atMs } = report;
	const said = `reported ${status} by ${actor}${detail === "" ? "" : `: ${detail.slice(0, DETAIL_SHOWN_MAX)}`}`;
	return now - atMs > msOf(stale) ? { status: "stale", message: `older than ${stale}: ${said}` } : { status, message: said };
}
