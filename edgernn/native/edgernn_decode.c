#include "edgernn_decode.h"

#include "common/fixed.h"

/* Units of costs: 1/4096 bit. Distances beyond 30 bits count as 30. */
#define UNITS 4096
#define MOST_DISTANCE (30 * UNITS)

/* Clause 13.4: 2^(30 - j/64). */
static const int32_t powers[65] = {
    1073741824, 1062175491, 1050733751, 1039415261, 1028218693, 1017142735, 1006186087, 995347464,
    984625594, 974019220, 963527098, 953147997, 942880699, 932724001, 922676710, 912737649,
    902905651, 893179563, 883558244, 874040567, 864625413, 855311680, 846098274, 836984114,
    827968132, 819049271, 810226483, 801498734, 792865000, 784324269, 775875538, 767517817,
    759250125, 751071493, 742980960, 734977579, 727060411, 719228525, 711481005, 703816941,
    696235434, 688735596, 681316545, 673977412, 666717336, 659535466, 652430958, 645402981,
    638450708, 631573326, 624770026, 618040012, 611382493, 604796689, 598281827, 591837143,
    585461881, 579155293, 572916640, 566745190, 560640218, 554601009, 548626854, 542717053,
    536870912,
};

/* Clause 13.8: 2^15 log2(1 + j/64). */
static const uint16_t logarithms[65] = {
    0, 733, 1455, 2166, 2866, 3556, 4236, 4907, 5568, 6220, 6863, 7498, 8124, 8742, 9352, 9954,
    10549, 11136, 11716, 12289, 12855, 13415, 13968, 14514, 15055, 15589, 16117, 16639, 17156,
    17667, 18173, 18673, 19168, 19658, 20143, 20623, 21098, 21568, 22034, 22495, 22952, 23404,
    23852, 24296, 24736, 25172, 25604, 26031, 26455, 26876, 27292, 27705, 28114, 28520, 28922,
    29321, 29717, 30109, 30498, 30884, 31267, 31647, 32024, 32397, 32768,
};

/* A sum of weights, or a part of it: high * 2^15 + low, low < 2^15. */
typedef struct {
    int32_t high;
    int32_t low;
} halves;

/* Clause 13.5: the tokens above a score, and the first ones with it. */
typedef struct {
    int32_t score;
    int32_t with_it;
} threshold;

EDGERNN_API void edgernn_make_scores(const edgernn_scoring *of, int16_t *scores)
{
    int32_t i;
    if (of->factors == 0) {
        return;
    }
    for (i = 0; i < of->tokens; ++i) {
        scores[i] = (int16_t)edgernn_half_up(of->factors[i] * scores[i], 14);
    }
}

EDGERNN_API int32_t edgernn_set_temperature(const edgernn_scoring *of, int32_t thousandths,
                                            edgernn_temperature *temperature)
{
    const int32_t fine = 1000 * of->multiplier;
    int32_t shift = of->shift;
    int32_t quotient = 0;
    int32_t rest = 0;
    int32_t bit;
    if (thousandths < 1 || thousandths > 100000) {
        return 1;
    }
    for (bit = 30; bit >= 0; --bit) { /* small cores have no division */
        rest = 2 * rest + ((fine >> bit) & 1);
        quotient = 2 * quotient + (rest >= thousandths ? 1 : 0);
        rest = rest >= thousandths ? rest - thousandths : rest;
    }
    while (quotient < 1 << 14) {
        rest = 2 * rest;
        quotient = 2 * quotient + (rest >= thousandths ? 1 : 0);
        rest = rest >= thousandths ? rest - thousandths : rest;
        ++shift;
    }
    while (quotient >= 1 << 15) {
        quotient = quotient >> 1;
        --shift;
    }
    temperature->multiplier = (quotient + 1) >> 1;
    temperature->shift = shift - 1;
    return temperature->shift < 0 || temperature->shift > 29 ? 1 : 0;
}

static uint32_t rotated(uint32_t value, int32_t bits)
{
    return (value << bits) | (value >> (32 - bits));
}

EDGERNN_API void edgernn_seed(edgernn_random *random, uint32_t seed)
{
    int32_t i;
    for (i = 0; i < 4; ++i) {
        uint32_t h = seed + (uint32_t)(i + 1) * 0x9E3779B9u;
        h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
        h = (h ^ (h >> 13)) * 0xC2B2AE35u;
        random->s[i] = h ^ (h >> 16);
    }
}

EDGERNN_API uint32_t edgernn_next_random(edgernn_random *random)
{
    uint32_t *s = random->s;
    const uint32_t number = rotated(s[1] * 5u, 7) * 9u;
    const uint32_t t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotated(s[3], 11);
    return number;
}

EDGERNN_API int32_t edgernn_likeliest(const int16_t *scores, int32_t tokens)
{
    int32_t first = 0;
    int32_t i;
    for (i = 1; i < tokens; ++i) {
        if (scores[i] > scores[first]) {
            first = i;
        }
    }
    return first;
}

/* Clause 13.3. */
static int32_t distance(int32_t below, const edgernn_temperature *at)
{
    const int32_t product = below * at->multiplier;
    const int32_t x = at->shift == 0 ? product : edgernn_half_up(product, at->shift);
    return x < MOST_DISTANCE ? x : MOST_DISTANCE;
}

/* Clause 13.4. */
static int32_t weight(int32_t x)
{
    const int32_t octave = x >> 12;
    const int32_t *p = powers + ((x >> 6) & 63);
    if (octave >= 30) {
        return 0;
    }
    return (p[0] - edgernn_half_up((x & 63) * (p[0] - p[1]), 6)) >> octave;
}

static int32_t count_from(const int16_t *scores, int32_t tokens, int32_t least)
{
    int32_t count = 0;
    int32_t i;
    for (i = 0; i < tokens; ++i) {
        count += scores[i] >= least ? 1 : 0;
    }
    return count;
}

/* The greatest score that at least top_k tokens reach, found by halving; no token is moved. */
static threshold top(const int16_t *scores, int32_t tokens, int32_t top_k)
{
    threshold of = {-32768, tokens};
    int32_t above = 32768;
    if (top_k < 1 || top_k >= tokens) {
        return of;
    }
    while (above - of.score > 1) {
        const int32_t middle = (of.score + above) >> 1;
        if (count_from(scores, tokens, middle) >= top_k) {
            of.score = middle;
        } else {
            above = middle;
        }
    }
    of.with_it = top_k - count_from(scores, tokens, of.score + 1);
    return of;
}

/* The weight of a token, 0 of one that is no candidate; called for one token after the other. */
static int32_t weight_of(int32_t score, int32_t greatest, const edgernn_temperature *at,
                         threshold *left)
{
    if (score < left->score || (score == left->score && left->with_it-- <= 0)) {
        return 0;
    }
    return weight(distance(greatest - score, at));
}

static halves sum_of_weights(const int16_t *scores, int32_t tokens, int32_t greatest,
                             const edgernn_temperature *at, threshold left)
{
    halves sum = {0, 0};
    int32_t i;
    for (i = 0; i < tokens; ++i) {
        const int32_t w = weight_of(scores[i], greatest, at, &left);
        sum.high += w >> 15;
        sum.low += w & 32767;
    }
    sum.high += sum.low >> 15;
    sum.low = sum.low & 32767;
    return sum;
}

/* Whether a is less than b. */
static int32_t is_less(halves a, halves b)
{
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

/* floor(log2 v), v >= 1. */
static int32_t top_bit(int32_t v)
{
    int32_t bit = 0;
    while (v >> bit > 1) {
        ++bit;
    }
    return bit;
}

EDGERNN_API int32_t edgernn_draw(const int16_t *scores, int32_t tokens,
                                 const edgernn_temperature *temperature, int32_t top_k,
                                 edgernn_random *random)
{
    const int32_t greatest = scores[edgernn_likeliest(scores, tokens)];
    threshold left = top(scores, tokens, top_k);
    const halves sum = sum_of_weights(scores, tokens, greatest, temperature, left);
    const int32_t unused = 31 - top_bit(sum.high);
    halves r;
    int32_t i;
    do {
        r.low = (int32_t)(edgernn_next_random(random) >> 17);
        r.high = (int32_t)(edgernn_next_random(random) >> unused);
    } while (!is_less(r, sum));
    for (i = 0; i < tokens - 1; ++i) {
        const int32_t w = weight_of(scores[i], greatest, temperature, &left);
        const halves own = {w >> 15, w & 32767};
        if (is_less(r, own)) {
            break;
        }
        r.high -= own.high;
        r.low -= own.low;
        if (r.low < 0) {
            r.low += 32768;
            --r.high;
        }
    }
    return i;
}

/* Clause 13.8, lg(v) of a v with e = floor(log2 v). */
static int32_t lg(int32_t e, int32_t mantissa)
{
    const uint16_t *at = logarithms + ((mantissa >> 24) - 64);
    const int32_t fine = ((mantissa >> 9) & 32767) * (at[1] - at[0]);
    return UNITS * e + edgernn_half_up(at[0] * 32768 + fine, 18);
}

static int32_t lg_of(int32_t v)
{
    const int32_t e = top_bit(v);
    return lg(e, v << (30 - e));
}

static int32_t lg_of_sum(halves sum)
{
    const int32_t bit = top_bit(sum.high);
    return lg(bit + 15, (sum.high << (30 - bit)) + (sum.low >> (bit - 15)));
}

/* Puts a candidate into the ascending ones, behind those that cost as much; returns their number.
 */
static int32_t insert(edgernn_candidate *candidates, int32_t count, int32_t most,
                      edgernn_candidate one)
{
    int32_t place = count < most ? count : most - 1;
    if (count == most && one.cost >= candidates[place].cost) {
        return count;
    }
    while (place > 0 && one.cost < candidates[place - 1].cost) {
        candidates[place] = candidates[place - 1];
        --place;
    }
    candidates[place] = one;
    return count < most ? count + 1 : count;
}

/* The candidates of one hypothesis, from the scores that its state gave. */
static void add_candidates(edgernn_beams *of)
{
    const threshold all = {-32768, of->scoring.tokens};
    const int32_t greatest = of->scores[edgernn_likeliest(of->scores, of->scoring.tokens)];
    const halves sum =
        sum_of_weights(of->scores, of->scoring.tokens, greatest, &of->at, all);
    const int32_t common = of->costs[of->place] + lg_of_sum(sum) - MOST_DISTANCE;
    int32_t i;
    for (i = 0; i < of->scoring.tokens; ++i) {
        edgernn_candidate one;
        one.cost = common + distance(greatest - of->scores[i], &of->at);
        one.token = (int16_t)i;
        one.parent = (uint8_t)of->place;
        of->count = insert(of->candidates, of->count, 2 * of->width, one);
    }
}

static unsigned char *state_at(const edgernn_beams *of, int32_t half, int32_t place)
{
    return (unsigned char *)of->states + (half * of->width + place) * of->state_bytes;
}

static void copy_state(unsigned char *to, const unsigned char *from, int32_t bytes)
{
    int32_t i;
    for (i = 0; i < bytes; ++i) {
        to[i] = from[i];
    }
}

/* Clause 13.12. */
static void finish(edgernn_beams *of, int32_t cost, int32_t length, int32_t place, int32_t ended)
{
    edgernn_finish one;
    one.rank = lg_of(cost > 1 ? cost : 1);
    one.rank -= edgernn_half_up(of->penalty * lg_of(length + ended), 8);
    one.cost = cost;
    one.length = length;
    one.place = place;
    one.ended = ended;
    if (of->finished == 0 || one.rank < of->best.rank ||
        (one.rank == of->best.rank && one.cost < of->best.cost)) {
        of->best = one;
    }
    ++of->finished;
}

/* The hypotheses of the next step. A state is copied: several of them may go on from it. */
static void grow(edgernn_beams *of)
{
    int16_t *const tokens = of->tokens + of->step * of->width;
    uint8_t *const parents = of->parents + of->step * of->width;
    int32_t live = 0;
    int32_t i;
    for (i = 0; i < of->count && live < of->width; ++i) {
        const edgernn_candidate one = of->candidates[i];
        if (one.token == of->end) {
            finish(of, one.cost, of->step, one.parent, 1);
        } else {
            tokens[live] = one.token;
            parents[live] = one.parent;
            of->costs[live] = one.cost;
            copy_state(state_at(of, 1 - of->half, live), state_at(of, of->half, one.parent),
                       of->state_bytes);
            ++live;
        }
    }
    of->live = live;
    of->half = 1 - of->half;
    of->place = 0;
    of->count = 0;
    ++of->step;
}

EDGERNN_API int32_t edgernn_begin_beams(edgernn_beams *of)
{
    of->step = 0;
    of->half = 0;
    of->live = 1;
    of->place = 0;
    of->count = 0;
    of->finished = 0;
    of->costs[0] = 0;
    return edgernn_set_temperature(&of->scoring, 1000, &of->at);
}

EDGERNN_API void *edgernn_next_beam(edgernn_beams *of, int32_t *token)
{
    int32_t place;
    add_candidates(of);
    ++of->place;
    if (of->place == of->live) {
        grow(of);
        if (of->step == of->most_tokens) {
            for (place = 0; place < of->live; ++place) {
                finish(of, of->costs[place], of->step, place, 0);
            }
            return 0;
        }
        if (of->finished >= of->width || of->live == 0) {
            return 0;
        }
    }
    *token = of->tokens[(of->step - 1) * of->width + of->place];
    return state_at(of, of->half, of->place);
}

EDGERNN_API int32_t edgernn_best_beam(const edgernn_beams *of, int16_t *found, int32_t *ended,
                                      int32_t *cost)
{
    int32_t place = of->best.place;
    int32_t step;
    for (step = of->best.length - 1; step >= 0; --step) {
        found[step] = of->tokens[step * of->width + place];
        place = of->parents[step * of->width + place];
    }
    *ended = of->best.ended;
    *cost = of->best.cost;
    return of->best.length;
}
