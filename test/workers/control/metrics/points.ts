import type { Arm, ArmSums } from "../../../../core/health/observation";
import type { Point } from "../../../../core/telemetry";

export type AttributedPoint = Point & { readonly arm: Arm };

/** Valid by default: a test changes one field. A harm is an error of value 1 unless the change says otherwise. */
export function aPoint(change: Partial<AttributedPoint> = {}): AttributedPoint {
	return {
		id: null,
		rollout: "checkout.1",
		stage: 1,
		served: 5_000,
		arm: "control",
		metric: "error",
		unit: "ann",
		value: Number(change.harm ?? false),
		harm: false,
		...change,
	};
}

/** The arm is decided by the bucket alone, as it is at the edge. */
export const armOf = (bucket: number, served: number): Arm => (bucket < served ? "candidate" : "control");

/** Sums over users, straight from their definitions: group the points by user, then add up. */
export function referenceSums(points: readonly AttributedPoint[]): ArmSums[] {
	const arms = Map.groupBy(points, (point) => JSON.stringify([point.metric, point.arm]));
	return [...arms.values()].map((ofArm): ArmSums => {
		const users = [...Map.groupBy(ofArm, (point) => point.unit).values()].map((own) => {
			const requests = own.length;
			const harms = own.filter((point) => point.harm).length;
			return { requests, harms, mean: own.reduce((sum, point) => sum + point.value, 0) / requests, harmedFirst: own[0]?.harm === true };
		});
		const add = (of: (user: (typeof users)[number]) => number): number => users.reduce((sum, user) => sum + of(user), 0);
		const [{ metric, arm }] = ofArm as [AttributedPoint];
		return {
			metric,
			arm,
			users: {
				users: users.length,
				harmedUsers: users.filter((user) => user.harms > 0).length,
				requests: add((user) => user.requests),
				harms: add((user) => user.harms),
				harmsSquared: add((user) => user.harms ** 2),
				harmsTimesRequests: add((user) => user.harms * user.requests),
				requestsSquared: add((user) => user.requests ** 2),
			},
			means: { users: users.length, sumOfMeans: add((user) => user.mean), sumOfSquaredMeans: add((user) => user.mean ** 2) },
			harmedFirst: users.filter((user) => user.harmedFirst).length,
		};
	});
}
