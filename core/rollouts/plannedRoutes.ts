import type { FieldError } from "../flags/model";
import { type Route, route } from "../gateway/model";

/** Routes that a plan brings along: they go by its flags, and are written when the rollout is created. */

/** Where all requests go the same way nothing is rolled out: such a route is no part of a plan. */
export const plannedRoute = route.omit({ origin: true }).required({ origins: true });
type PlannedRoute = Omit<Route, "origin">;

/** One that names no flag goes by the plan's, where it has one only. `flags`: all of the plan. */
export function plannedRoutes(
	given: readonly PlannedRoute[],
	flags: readonly string[],
): { readonly routes: Route[]; readonly errors: FieldError[] } {
	const errors: FieldError[] = [];
	const [only, ...others] = flags;
	const routes = given.map((each, i): Route => {
		const { flag = others.length === 0 ? only : undefined } = each;
		if (flag === undefined)
			errors.push({ pointer: `/routes/${i}/flag`, message: `is required, since the plan has several: ${flags.join(", ")}` });
		else if (!flags.includes(flag))
			errors.push({ pointer: `/routes/${i}/flag`, message: `"${flag}" is no flag of this plan: ${flags.join(", ")}` });
		if (given.findIndex(({ key }) => key === each.key) !== i)
			errors.push({ pointer: `/routes/${i}/key`, message: `"${each.key}" is named twice` });
		return flag === undefined ? each : { ...each, flag };
	});
	return { routes, errors };
}
