#include "edgernn_log_mel.h"

#include "common/fixed.h"

/* Clause 11.8: 2^15 log2(1 + i / 32). */
static const uint16_t logarithm[33] = {
    0, 1455, 2866, 4236, 5568, 6863, 8124, 9352, 10549, 11716, 12855,
    13968, 15055, 16117, 17156, 18173, 19168, 20143, 21098, 22034, 22952, 23852,
    24736, 25604, 26455, 27292, 28114, 28922, 29717, 30498, 31267, 32024, 32768,
};

EDGERNN_API void edgernn_begin_sound(const edgernn_log_mel *of, edgernn_sound *sound)
{
    sound->due = of->frame;
    sound->next = 0;
    sound->last = 0;
}

EDGERNN_API int32_t edgernn_push_sample(const edgernn_log_mel *of, edgernn_sound *sound,
                                        int16_t *ring, int16_t sample)
{
    int32_t x = sample;
    if (of->emphasis != 0) {
        x = edgernn_sat16(x - edgernn_half_up(of->emphasis * sound->last, 15));
        sound->last = sample;
    }
    ring[sound->next] = (int16_t)x;
    sound->next = sound->next + 1 == of->frame ? 0 : sound->next + 1;
    if (--sound->due > 0) {
        return 0;
    }
    sound->due = of->hop;
    return 1;
}

/* Clause 11.3: the windowed samples as a transform reads them; returns p. */
static int32_t windowed(const edgernn_log_mel *of, const edgernn_sound *sound, const int16_t *ring,
                        int16_t *z)
{
    const int32_t half = of->half;
    int32_t largest = 0;
    int32_t p = 0;
    int32_t reversed = 0;
    int32_t at = sound->next; /* the oldest */
    int32_t i;
    for (i = 0; i < of->frame; ++i) {
        const int32_t size = ring[i] < 0 ? -(int32_t)ring[i] : ring[i];
        largest = size > largest ? size : largest;
    }
    while (p < 13 && largest <= 23000 >> p) {
        ++p;
    }
    for (i = 0; i < half; ++i) {
        int32_t bit = half >> 1;
        int32_t part;
        for (part = 0; part < 2; ++part) {
            const int32_t place = 2 * i + part;
            int32_t y = 0;
            if (place < of->frame) {
                y = edgernn_half_up(ring[at] * of->window[place], 16 - p);
                at = at + 1 == of->frame ? 0 : at + 1;
            }
            z[2 * reversed + part] = (int16_t)y;
        }
        /* Adds 1 to the number whose bits are reversed. */
        while ((reversed & bit) != 0) {
            reversed ^= bit;
            bit >>= 1;
        }
        reversed |= bit;
    }
    return p;
}

/* One butterfly of clause 11.4 for a, b = a + 2h and t = (re, im). */
EDGERNN_INLINE void butterfly(int16_t *a, int16_t *b, int32_t re, int32_t im)
{
    const int32_t a_re = a[0];
    const int32_t a_im = a[1];
    a[0] = (int16_t)((a_re + re + 1) >> 1);
    a[1] = (int16_t)((a_im + im + 1) >> 1);
    b[0] = (int16_t)((a_re - re + 1) >> 1);
    b[1] = (int16_t)((a_im - im + 1) >> 1);
}

/* Clause 11.4: z[2 n], in place. */
static void transform(const int16_t *twiddles, int32_t half, int16_t *z)
{
    int16_t *const end = z + 2 * half;
    int32_t step = half; /* from entry to entry of the last table: 2 (n / 2h) */
    int32_t h;
    for (h = 1; h < half; h *= 2) {
        const int16_t *w = twiddles + step - 2;
        int16_t *a;
        int32_t j;
        for (a = z; a < end; a += 4 * h) {
            butterfly(a, a + 2 * h, a[2 * h], a[2 * h + 1]);
        }
        for (j = 1; j < h; ++j) {
            const int32_t c = w[0];
            const int32_t s = w[1];
            for (a = z + 2 * j; a < end; a += 4 * h) {
                int16_t *const b = a + 2 * h;
                butterfly(a, b, edgernn_half_up(b[0] * c - b[1] * s, 15),
                          edgernn_half_up(b[0] * s + b[1] * c, 15));
            }
            w += step;
        }
        step >>= 1;
    }
}

/* Clause 11.5. */
EDGERNN_INLINE uint32_t power(const int16_t *z, const int16_t *y, int32_t c, int32_t s)
{
    const int32_t d_re = z[1] + y[1];
    const int32_t d_im = y[0] - z[0];
    const int32_t re = z[0] + y[0] + edgernn_half_up(d_re * c - d_im * s, 14);
    const int32_t im = z[1] - y[1] + edgernn_half_up(d_re * s + d_im * c, 14);
    return (uint32_t)(re * re + im * im);
}

/* Clause 11.8. */
static int32_t level(int32_t high, int32_t low, int32_t exponent)
{
    int32_t v = high;
    int32_t octave = 15 + 30;
    int32_t u;
    int32_t part;
    int32_t between;
    if (high >= 32768) {
        v += low >> 15;
    } else {
        v = high * 32768 + low;
        octave = 30;
        v = v < 1 ? 1 : v;
    }
    if (v < 1 << 15) {
        v *= 1 << 15;
        octave -= 15;
    }
    if (v < 1 << 23) {
        v *= 1 << 8;
        octave -= 8;
    }
    if (v < 1 << 27) {
        v *= 1 << 4;
        octave -= 4;
    }
    while (v < 1 << 30) {
        v *= 2;
        --octave;
    }
    u = (v >> 25) - 32;
    part = (v >> 10) & 32767;
    between = logarithm[u] * 32768 + part * (logarithm[u + 1] - logarithm[u]);
    return edgernn_sat16(1024 * octave + edgernn_half_up(between, 20) + exponent);
}

EDGERNN_API void edgernn_levels(const edgernn_log_mel *of, const edgernn_sound *sound,
                                const int16_t *ring, int16_t *z, int32_t *levels)
{
    const int32_t p = windowed(of, sound, ring, z);
    const int32_t *const floor = of->floors + 2 * p;
    int32_t high = 0;
    int32_t low = 0;
    int32_t bin = 0;
    int32_t segment;
    transform(of->twiddles, of->half, z);
    /* Clause 11.6: a segment is the rise of one band and the fall of the one before. */
    for (segment = 0; segment <= of->bands; ++segment) {
        const int32_t end = of->segments[segment + 1];
        int32_t next_high = floor[0];
        int32_t next_low = floor[1];
        for (; bin < end; ++bin) {
            const int32_t k = of->first_bin + bin;
            const uint32_t of_bin = power(z + 2 * k, z + 2 * (of->half - k), of->split[2 * bin],
                                          of->split[2 * bin + 1]);
            const int32_t u = (int32_t)(of_bin >> 15);
            const int32_t v = (int32_t)(of_bin & 32767u);
            const int32_t rising = of->rising[bin];
            next_high += rising * u;
            next_low += rising * v;
            high += (256 - rising) * u;
            low += (256 - rising) * v;
        }
        if (segment > 0) {
            levels[segment - 1] = level(high, low, of->exponents[p]);
        }
        high = next_high;
        low = next_low;
    }
    if (of->coefficients != 0) {
        /* Clause 11.11, through z: levels are 16-bit numbers. */
        int32_t r;
        int32_t b;
        for (b = 0; b < of->bands; ++b) {
            z[b] = (int16_t)levels[b];
        }
        for (r = 0; r < of->coefficients; ++r) {
            const int16_t *const row = of->cosines + r * of->bands;
            int32_t sum = 0;
            for (b = 0; b < of->bands; ++b) {
                sum += row[b] * z[b];
            }
            levels[r] = edgernn_half_up(sum, 13);
        }
    }
}

/* The code of a channel before it is limited. */
EDGERNN_INLINE int32_t code(const int32_t *of, int32_t value)
{
    return edgernn_half_up(of[0] * value + of[1], of[2]);
}

EDGERNN_INLINE int32_t width(const edgernn_log_mel *of)
{
    return of->coefficients != 0 ? of->coefficients : of->bands;
}

EDGERNN_API void edgernn_level_codes8(const edgernn_log_mel *of, const int32_t *levels,
                                      int8_t *q_x)
{
    int32_t i;
    for (i = 0; i < width(of); ++i) {
        q_x[i] = (int8_t)edgernn_sat8(code(of->codes + 3 * i, levels[i]));
    }
}

EDGERNN_API void edgernn_level_codes16(const edgernn_log_mel *of, const int32_t *levels,
                                       int16_t *q_x)
{
    int32_t i;
    for (i = 0; i < width(of); ++i) {
        const int32_t u = code(of->codes + 3 * i, levels[i]);
        q_x[i] = (int16_t)(4 * (u < -8191 ? -8191 : u > 8191 ? 8191 : u));
    }
}
