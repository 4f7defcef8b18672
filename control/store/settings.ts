import { getTableColumns, sql } from "drizzle-orm";
import { DEFAULT_SETTINGS, type EnvironmentSettings, storedSettings } from "../../core/environmentSettings";
import type { BreakerState } from "../../core/rollouts/breaker";
import { log } from "../log";
import { type Act, audited, plain } from "./audit";
import { isConflict } from "./conflict";
import { type Database, commit } from "./database";
import { parseJson } from "./json";
import { environmentSettings } from "./schema";

export interface StoredSettings {
	readonly environment: string;
	readonly settings: EnvironmentSettings;
	/** 0: nobody has changed the defaults. */
	readonly version: number;
	/** What is stored cannot be read. */
	readonly isDamaged: boolean;
	/** Rollbacks up to then no longer count for the breaker. */
	readonly breakerResetAtMs: number;
}

/** Of the environments of which something is stored. A row that cannot be read has the defaults: guarding must go on. */
export async function listSettings(db: Database): Promise<ReadonlyMap<string, StoredSettings>> {
	const rows = await db
		.select({ ...getTableColumns(environmentSettings), config: sql<string>`${environmentSettings.config}` })
		.from(environmentSettings);
	return new Map(
		rows.map(({ environment, config, version, breakerResetAtMs }) => {
			const settings = parseJson(storedSettings, config);
			if (!settings) log("settings_corrupt", { environment });
			return [environment, { environment, settings: settings ?? DEFAULT_SETTINGS, version, isDamaged: !settings, breakerResetAtMs }];
		}),
	);
}

export function settingsIn(all: ReadonlyMap<string, StoredSettings>, environment: string): StoredSettings {
	return all.get(environment) ?? { environment, settings: DEFAULT_SETTINGS, version: 0, isDamaged: false, breakerResetAtMs: 0 };
}

export async function getSettings(db: Database, environment: string): Promise<StoredSettings> {
	return settingsIn(await listSettings(db), environment);
}

/** `before` is as it was read. undefined: somebody has changed it since, and nothing was written. */
export async function changeSettings(
	db: Database,
	before: StoredSettings,
	settings: EnvironmentSettings,
	act: Act,
): Promise<StoredSettings | undefined> {
	const { environment, breakerResetAtMs, isDamaged } = before;
	const version = before.version + 1;
	// NULL aborts the batch.
	const unlessChanged = sql<number>`CASE WHEN ${environmentSettings.version} = ${before.version} THEN ${version} END`;
	const config = plain(settings);
	try {
		await commit(db, [
			db
				.insert(environmentSettings)
				.values({ environment, config, version, breakerResetAtMs, updatedAtMs: act.atMs })
				.onConflictDoUpdate({
					target: environmentSettings.environment,
					set: { version: unlessChanged, config, updatedAtMs: act.atMs },
				}),
			audited(db, act, resource(environment), "environment.settings_changed", isDamaged ? { damaged: true } : before.settings, settings),
		]);
	} catch (error) {
		if (isConflict(error, "environment_settings")) return undefined;
		throw error;
	}
	return { ...before, settings, version, isDamaged: false };
}

/** What was rolled back until now counts for the breaker no longer. */
export async function resetBreaker(db: Database, environment: string, before: BreakerState, act: Act): Promise<void> {
	await commit(db, [
		db
			.insert(environmentSettings)
			.values({ environment, config: {}, version: 0, breakerResetAtMs: act.atMs, updatedAtMs: act.atMs })
			.onConflictDoUpdate({
				target: environmentSettings.environment,
				set: { breakerResetAtMs: sql`max(${environmentSettings.breakerResetAtMs}, ${act.atMs})`, updatedAtMs: act.atMs },
			}),
		audited(db, act, resource(environment), "environment.breaker_reset", before, { kind: "closed" }),
	]);
}

const resource = (environment: string): string => `environments/${environment}`;
