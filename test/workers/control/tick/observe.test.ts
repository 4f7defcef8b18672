import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { embedded } from "../../../../control/metrics/embedded";
import { listActive } from "../../../../control/store/rollouts";
import { observe } from "../../../../control/tick/observe";
import { HEALTHY, MINUTE_MS, START_MS, db, outcomes, started } from "./fixtures";

/** D1 that counts what is asked of it. */
function counting(): { readonly d1: D1Database; readonly asked: () => number } {
	let asked = 0;
	const d1 = new Proxy(env.DB, {
		get(target, name) {
			if (name === "prepare")
				return (sql: string) => {
					asked++;
					return target.prepare(sql);
				};
			const value = Reflect.get(target, name) as unknown;
			return typeof value === "function" ? (value.bind(target) as unknown) : value;
		},
	});
	return { d1, asked: () => asked };
}

test("the evidence of many rollouts takes as many queries as that of one, and each gets its own", async () => {
	const first = await started("many-0");
	await outcomes(first, HEALTHY, "a");
	const one = counting();
	await observe(embedded(one.d1), [first], START_MS + MINUTE_MS);
	const ringed = {
		phases: [
			{ percent: 5, hold: "2m", audience: "beta" },
			{ percent: 100, hold: "2m" },
		],
	};
	const others = await Promise.all(Array.from({ length: 30 }, (_, i) => started(`many-${i + 1}`, i === 29 ? ringed : {})));
	for (const row of others.slice(0, 3)) await outcomes(row, HEALTHY, row.id); // oxlint-disable-line no-await-in-loop -- D1 has one writer
	const many = counting();
	const { rows } = await listActive(db);
	const observed = await observe(embedded(many.d1), rows, START_MS + 2 * MINUTE_MS);
	expect(many.asked()).toBe(one.asked());
	expect(many.asked()).toBeLessThanOrEqual(12);
	const users = rows.map(({ id }) => {
		const found = observed.get(id);
		return found?.kind === "evidence" ? found.userSums.reduce((sum, each) => sum + each.users.users, 0) : -1;
	});
	expect(users.filter((each) => each === 1_000)).toHaveLength(4);
	expect(users.filter((each) => each === 0)).toHaveLength(27);
});
