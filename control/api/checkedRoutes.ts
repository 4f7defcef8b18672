import type { Context } from "hono";
import type { FieldError } from "../../core/flags/model";
import { type FlagsKnown, checkRoute } from "../../core/gateway/check";
import type { Route } from "../../core/gateway/model";
import { addressRefusal } from "../address";
import type { Database } from "../store/database";
import { type RouteWrite, routesSizeRefusal, routesToWrite } from "../store/manyRoutes";
import { type World, readWorld } from "../store/references";
import { accessOf, isAtLeast } from "./access";
import type { ApiEnv } from "./context";
import { orRefuse, refuse } from "./refusals";

export const variantsIn = ({ flags }: Pick<World, "flags">): FlagsKnown =>
	new Map([...flags].map(([key, { variants }]) => [key, variants]));

/** What is wrong with a route where there are those flags, and by where requests may go. */
export const routeErrors = (c: Context<ApiEnv>, wanted: Route, flags: FlagsKnown): FieldError[] =>
	checkRoute(wanted, flags, (url) => addressRefusal(url, c.get("privateOrigins")));

/** The same of routes that come with a plan. */
export async function plannedRouteErrors(c: Context<ApiEnv>, environment: string, routes: readonly Route[]): Promise<FieldError[]> {
	if (routes.length === 0) return [];
	const flags = variantsIn(await readWorld(c.get("deps").db, environment));
	// That one names no flag has been said.
	return routes.flatMap((route, i) =>
		(route.flag === undefined ? [] : routeErrors(c, route, flags)).map(({ pointer, message }) => ({
			pointer: `/routes/${i}${pointer}`,
			message,
		})),
	);
}

/** Those of a plan's routes that are not there as it has them; refused where they cannot be, or not by this caller. */
export async function plannedWrites(
	c: Context<ApiEnv>,
	db: Database,
	environment: string,
	routes: readonly Route[],
	flags: readonly string[],
): Promise<readonly RouteWrite[]> {
	const writes = orRefuse(await routesToWrite(db, environment, routes));
	if (writes.length === 0) return writes;
	const { role } = c.get("caller");
	const { role: takes } = accessOf("PUT", "/api/v1/gateway/routes");
	if (!isAtLeast(role, takes)) refuse({ kind: "forbidden", why: { role, takes, what: "a plan that changes routes" } });
	// Its requests would go elsewhere before the rollout is started: that takes a change of the route itself, under the version that was read.
	const others = writes.find(({ before }) => before?.config && !flags.includes(before.config.flag ?? ""));
	if (others) refuse({ kind: "route_of_others", key: others.route.key, flag: others.before?.config?.flag, flags });
	const tooLarge = await routesSizeRefusal(db, environment, writes);
	return tooLarge ? refuse(tooLarge) : writes;
}
