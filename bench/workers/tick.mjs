// Control as it is deployed, and beside it: one tick with every statement counted that it asks of D1, and outcomes as edges report them.
import control from "../../control/index";
import { embedded, recordPoints } from "../../control/metrics/embedded";
import { stepCaller } from "../../control/notify/stepCaller";
import { webhook } from "../../control/notify/webhook";
import { open } from "../../control/store/database";
import { tick } from "../../control/tick/tick";

export { Comparisons, Head, Telemetry } from "../../control/index";

const realNow = () => Date.now();

export default {
	async fetch(request, env, context) {
		const { pathname, searchParams } = new URL(request.url);
		if (pathname === "/bench/tick") return Response.json(await counted(env, Number(searchParams.get("now"))));
		if (pathname !== "/bench/outcomes") return control.fetch(request, env, context);
		await recordPoints(env.DB, "production", await request.json(), realNow());
		return new Response(null, { status: 204 });
	},
	scheduled: (controller, env) => control.scheduled(controller, env),
};

async function counted(env, now) {
	const count = { statements: 0, calls: 0 };
	const database = counting(env.DB, count);
	const db = open(database);
	const metrics = embedded(database);
	const checks = { db, metrics, allowPrivate: false, realNow };
	await tick({ db, kv: env.SNAPSHOTS, realNow, metrics, notifier: webhook(false), steps: stepCaller(false), checks }, now);
	return count;
}

/** `statements`: each one of a batch counts, as D1's limit does. `calls`: a batch is one. */
function counting(given, count) {
	const real = new WeakMap();
	const asked = (statements) => {
		count.calls++;
		count.statements += statements;
	};
	const statement = (target) => {
		const wrapped = new Proxy(target, {
			get(_, name) {
				if (name === "bind") return (...values) => statement(target.bind(...values));
				const found = target[name];
				if (typeof found !== "function") return found;
				return (...args) => {
					asked(1);
					return found.apply(target, args);
				};
			},
		});
		real.set(wrapped, target);
		return wrapped;
	};
	return {
		prepare: (sql) => statement(given.prepare(sql)),
		batch(all) {
			asked(all.length);
			return given.batch(all.map((each) => real.get(each)));
		},
	};
}
