import { ARE_EVENTS_SENT } from "../../core/rollouts/decide";
import type { Database } from "../store/database";
import { routesOfRollouts } from "../store/gatewayReferences";

const NAMED_MAX = 5;

/**
 * What ticks found, as it is told: where nothing was counted of a rollout whose flags decide gateway routes there are no events
 * to send.
 */
export async function explained<T extends { readonly rollout: string; readonly message: string }>(
	db: Database,
	checks: readonly T[],
): Promise<T[]> {
	const quiet = checks.filter(({ message }) => message.endsWith(ARE_EVENTS_SENT));
	if (quiet.length === 0) return [...checks];
	const routed = await routesOfRollouts(
		db,
		quiet.map(({ rollout }) => rollout),
	);
	return checks.map((check) => {
		const routes = quiet.includes(check) ? routed.get(check.rollout) : undefined;
		return routes ? { ...check, message: check.message.replace(ARE_EVENTS_SENT, () => doesTrafficCome(routes)) } : check;
	});
}

function doesTrafficCome(routes: readonly string[]): string {
	const more = routes.length > NAMED_MAX ? ` and ${routes.length - NAMED_MAX} more` : "";
	return `the gateway measures by itself: does traffic reach ${routes.slice(0, NAMED_MAX).join(", ")}${more}, with a targeting key, and are the flags enabled?`;
}
