import { DEFAULT_SETTINGS, breakerSettingsOf } from "../../core/environmentSettings";
import { type BreakerState, breakerAt, breakerWindowMs } from "../../core/rollouts/breaker";
import { log, nameOf } from "../log";
import type { Database } from "../store/database";
import { rollbacksSince } from "../store/rolloutChanges";
import { type StoredSettings, listSettings, settingsIn } from "../store/settings";
import { ENGINE } from "./engine";

export type Breakers = ReadonlyMap<string, BreakerState>;

/** By environment; one that nothing was rolled back in is left out, and closed. */
export async function breakersAt(db: Database, all: ReadonlyMap<string, StoredSettings>, now: number): Promise<Breakers> {
	const every = [DEFAULT_SETTINGS, ...[...all.values()].map(({ settings }) => settings)];
	const windowMs = Math.max(...every.map((settings) => breakerWindowMs(breakerSettingsOf(settings))));
	const found = await rollbacksSince(db, ENGINE, now - windowMs);
	return new Map(
		[...found].map(([environment, times]) => {
			const { settings, breakerResetAtMs } = settingsIn(all, environment);
			const counted = times.filter((at) => at > breakerResetAtMs);
			return [environment, breakerAt(counted, breakerSettingsOf(settings), now)];
		}),
	);
}

export const breakerIn = (breakers: Breakers, environment: string): BreakerState => breakers.get(environment) ?? { kind: "closed" };

/** What a tick knows of the environments besides their rollouts. */
export interface Governed {
	readonly settings: ReadonlyMap<string, StoredSettings>;
	readonly breakers: Breakers | "unknown";
}

/** That of damaged settings nobody knows: they may have said that the engine only advises. */
export function breakerOf({ settings, breakers }: Governed, environment: string): BreakerState | "unknown" {
	return breakers === "unknown" || settingsIn(settings, environment).isDamaged ? "unknown" : breakerIn(breakers, environment);
}

/** What cannot be known stops advances, and never a rollback: that of an environment which is only advised neither. */
export async function governedAt(db: Database, now: number): Promise<Governed> {
	const settings = await known("settings_not_read", listSettings(db));
	const breakers = settings && (await known("breaker_not_read", breakersAt(db, settings, now)));
	return { settings: settings ?? new Map<string, StoredSettings>(), breakers: breakers ?? "unknown" };
}

async function known<T>(event: string, reading: Promise<T>): Promise<T | undefined> {
	try {
		return await reading;
	} catch (error) {
		log(event, { error: nameOf(error) });
		return undefined;
	}
}
