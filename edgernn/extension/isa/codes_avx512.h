/* Clause 9.1 on AVX-512 for isa/body.h, 8 readings at a time: conversions round to even, and the
 * maximum of NaN and the lower bound is that bound.
 */
#ifndef EDGERNN_EXTENSION_ISA_CODES_AVX512_H
#define EDGERNN_EXTENSION_ISA_CODES_AVX512_H

EDGERNN_INLINE __mmask8 readings_left(int32_t left)
{
    return (__mmask8)(left >= 8 ? 0xFF : (1 << left) - 1);
}

/* (x - offset) / scale of the readings i .. i + 7 that the mask names, NaN for the others. */
EDGERNN_INLINE __m512d quotients(const native_program *program, const double *x, int32_t i,
                                 __mmask8 which)
{
    const __m512d offset = _mm512_maskz_loadu_pd(which, program->input_offset + i);
    const __m512d scale = _mm512_maskz_loadu_pd(which, program->input_scale + i);
    return _mm512_div_pd(_mm512_sub_pd(_mm512_maskz_loadu_pd(which, x + i), offset), scale);
}

/* Their codes before the factor of the grid. */
EDGERNN_INLINE __m256i nearest_codes(__m512d v, double low, double high)
{
    v = _mm512_max_pd(v, _mm512_set1_pd(low));
    return _mm512_cvtpd_epi32(_mm512_min_pd(v, _mm512_set1_pd(high)));
}

/* Which of them are clipped. */
EDGERNN_INLINE __mmask8 clipped_of(__m512d v, double below, double above)
{
    return (__mmask8)(_mm512_cmp_pd_mask(v, _mm512_set1_pd(below), _CMP_LT_OQ) |
                      _mm512_cmp_pd_mask(v, _mm512_set1_pd(above), _CMP_GE_OQ));
}

EDGERNN_INLINE int codes_of8(const native_program *program, const double *restrict x,
                             int8_t *restrict codes)
{
    __mmask8 clipped = 0;
    int32_t i;
    for (i = 0; i < program->inputs; i += 8) {
        const __mmask8 which = readings_left(program->inputs - i);
        const __m512d v = quotients(program, x, i, which);
        const __m256i q = nearest_codes(v, -128.0, 127.0);
        clipped |= clipped_of(v, NATIVE_BELOW8, NATIVE_ABOVE8);
        _mm_mask_storeu_epi8(codes + i, which, _mm256_cvtepi32_epi8(q));
    }
    return clipped != 0;
}

EDGERNN_INLINE int codes_of16(const native_program *program, const double *restrict x,
                              int16_t *restrict codes)
{
    __mmask8 clipped = 0;
    int32_t i;
    for (i = 0; i < program->inputs; i += 8) {
        const __mmask8 which = readings_left(program->inputs - i);
        const __m512d v = quotients(program, x, i, which);
        const __m256i q = nearest_codes(v, -8191.0, 8191.0);
        clipped |= clipped_of(v, NATIVE_BELOW16, NATIVE_ABOVE16);
        _mm_mask_storeu_epi16(codes + i, which, _mm256_cvtepi32_epi16(_mm256_slli_epi32(q, 2)));
    }
    return clipped != 0;
}

#endif
