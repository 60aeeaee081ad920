/** One piece of the work: as many of them run at a time as there is room for, and each is tried again when it fails. */
export default ({ number }: { number: number }) => {
	let divisor = 2;
	while (divisor * divisor <= number && number % divisor !== 0) divisor++;
	return { number, isPrime: number > 1 && divisor * divisor > number };
};
