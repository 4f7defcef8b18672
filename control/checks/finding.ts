import type { MetricDefinition } from "../../core/metric";
import type { CheckStatus } from "../../core/checks/result";
import type { MetricsSource } from "../metrics/source";
import type { Database } from "../store/database";

export interface CheckDeps {
	readonly db: Database;
	readonly metrics: Pick<MetricsSource, "performance" | "system">;
	/** Local instances may look at http, any port and private addresses. */
	readonly allowPrivate: boolean;
	/** The clock of arrivals. */
	readonly realNow: () => number;
}

/** What is checked. */
export interface CheckContext {
	readonly environment: string;
	/** null: no rollout yet. */
	readonly rollout: string | null;
	/** null: before the first one. */
	readonly phase: string | null;
	readonly percent: number;
	readonly flags: readonly string[];
	readonly metrics: ReadonlyMap<string, MetricDefinition>;
}

export interface Finding {
	readonly status: CheckStatus;
	readonly message: string;
	/** Another try may find something else. */
	readonly again?: true;
}

export const passed = (message: string): Finding => ({ status: "passed", message });
export const failed = (message: string): Finding => ({ status: "failed", message });
