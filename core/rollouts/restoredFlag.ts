import type { Flag } from "../flags/model";

/**
 * A flag that a rollback gives an earlier version back, all of it but for what people may have done for safety meanwhile: what
 * they killed stays killed and serves what it serves, whom they targeted stays targeted, and what they closed to client keys stays
 * closed. A variant that the version does not have can be served to nobody.
 */
export function restoredFlag(now: Flag, version: Flag): Flag {
	const isThere = (variant: string): boolean => Object.hasOwn(version.variants, variant);
	return {
		...version,
		enabled: version.enabled && now.enabled,
		offVariant: !now.enabled && isThere(now.offVariant) ? now.offVariant : version.offVariant,
		targets: now.targets.filter(({ variant }) => isThere(variant)),
		public: version.public && now.public,
	};
}
