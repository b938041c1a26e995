/* Clause 9.1 on AVX-512 for isa_body.h, 8 readings at a time: conversions round to even, and the
 * maximum of NaN and the lower bound is that bound.
 */
#ifndef EDGERNN_NATIVE_CODES_AVX512_H
#define EDGERNN_NATIVE_CODES_AVX512_H

/* Codes of the readings i .. i + 7 that the mask names, before the factor of the grid. */
EDGERNN_INLINE __m256i nearest_codes(const native_program *program, const double *x, int32_t i,
                                     __mmask8 which, double low, double high)
{
    const __m512d offset = _mm512_maskz_loadu_pd(which, program->input_offset + i);
    const __m512d scale = _mm512_maskz_loadu_pd(which, program->input_scale + i);
    const __m512d distance = _mm512_sub_pd(_mm512_maskz_loadu_pd(which, x + i), offset);
    const __m512d v = _mm512_max_pd(_mm512_div_pd(distance, scale), _mm512_set1_pd(low));
    return _mm512_cvtpd_epi32(_mm512_min_pd(v, _mm512_set1_pd(high)));
}

EDGERNN_INLINE __mmask8 readings_left(int32_t left)
{
    return (__mmask8)(left >= 8 ? 0xFF : (1 << left) - 1);
}

static void codes_of8(const native_program *program, const double *restrict x,
                      int8_t *restrict codes)
{
    int32_t i;
    for (i = 0; i < program->inputs; i += 8) {
        const __mmask8 which = readings_left(program->inputs - i);
        const __m256i q = nearest_codes(program, x, i, which, -128.0, 127.0);
        _mm_mask_storeu_epi8(codes + i, which, _mm256_cvtepi32_epi8(q));
    }
}

static void codes_of16(const native_program *program, const double *restrict x,
                       int16_t *restrict codes)
{
    int32_t i;
    for (i = 0; i < program->inputs; i += 8) {
        const __mmask8 which = readings_left(program->inputs - i);
        const __m256i q = nearest_codes(program, x, i, which, -8191.0, 8191.0);
        _mm_mask_storeu_epi16(codes + i, which, _mm256_cvtepi32_epi16(_mm256_slli_epi32(q, 2)));
    }
}

#endif
