/** A batch makes more points than the store takes of one invocation: nothing of it was written. */
export class TooManyPoints extends Error {
	readonly points: number;
	readonly limit: number;

	constructor(points: number, limit: number) {
		super(`${points} points > limit ${limit} an invocation`);
		this.name = "TooManyPoints";
		this.points = points;
		this.limit = limit;
	}
}
