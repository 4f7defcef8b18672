import { and, asc, eq, lt, lte, sql } from "drizzle-orm";
import * as z from "zod";
import { type Result, err, ok } from "../../core/result";
import { type Act, audited } from "./audit";
import { isConflict } from "./conflict";
import { type Database, commit } from "./database";
import { checkReports } from "./schema";

/** An environment keeps so many names. */
export const REPORTS_MAX = 500;
const KEPT_MS = 30 * 86_400_000;

export const reportStatus = z.enum(["passed", "failed", "warning"]);

export interface CheckReport {
	readonly environment: string;
	readonly name: string;
	readonly status: z.infer<typeof reportStatus>;
	readonly detail: string;
	readonly actor: string;
	readonly atMs: number;
}

export interface ReportRefusal {
	readonly kind: "too_many_reports";
	readonly limit: number;
}

/** The newest of its name: one that was posted later stays. */
export async function putReport(
	db: Database,
	given: Pick<CheckReport, "environment" | "name" | "status" | "detail">,
	act: Act,
): Promise<Result<CheckReport, ReportRefusal>> {
	const row: CheckReport = { ...given, actor: act.actor, atMs: act.atMs };
	const { environment, name, status, detail } = row;
	const isKnown = sql`EXISTS (SELECT 1 FROM check_reports AS known WHERE known.environment = ${environment} AND known.name = ${name})`;
	const number = sql`(SELECT count(*) FROM check_reports AS own WHERE own.environment = ${environment})`;
	// NULL aborts the batch.
	const unlessFull = sql<string>`CASE WHEN ${isKnown} OR ${number} < ${REPORTS_MAX} THEN ${name} END`;
	try {
		await commit(db, [
			db
				.insert(checkReports)
				.values({ ...row, name: unlessFull })
				.onConflictDoUpdate({
					target: [checkReports.environment, checkReports.name],
					set: { status, detail, actor: row.actor, atMs: row.atMs },
					setWhere: lte(checkReports.atMs, row.atMs),
				}),
			audited(db, act, `checks/${environment}/${name}`, "check.reported", null, { status, detail }),
		]);
		return ok(row);
	} catch (error) {
		if (!isConflict(error, "check_reports")) throw error;
		return err({ kind: "too_many_reports", limit: REPORTS_MAX });
	}
}

/** undefined: there is none, or it says what this version does not know. */
export async function findReport(db: Database, environment: string, name: string): Promise<CheckReport | undefined> {
	const rows = await db
		.select()
		.from(checkReports)
		.where(and(eq(checkReports.environment, environment), eq(checkReports.name, name)));
	return known(rows)[0];
}

export async function listReports(db: Database, environment: string): Promise<CheckReport[]> {
	return known(await db.select().from(checkReports).where(eq(checkReports.environment, environment)).orderBy(asc(checkReports.name)));
}

function known(rows: readonly (typeof checkReports.$inferSelect)[]): CheckReport[] {
	return rows.flatMap((row) => {
		const { data: status } = reportStatus.safeParse(row.status);
		return status ? [{ ...row, status }] : [];
	});
}

/** No check takes one that is older. */
export async function pruneReports(db: Database, now: number): Promise<void> {
	await db.delete(checkReports).where(lt(checkReports.atMs, now - KEPT_MS));
}
