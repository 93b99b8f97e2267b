"""Vectors for compiled loops: as many numbers as a processor's widest register holds, worked on in one step.

numba compiles a loop over single numbers and leaves it to LLVM to find the vectors in it; in short loops, such as those
along the factors of one title, it finds few. These functions name them. Every operation rounds each number as it would
alone (no fused multiply-add), so digits do not depend on the width: eight numbers of float64, sixteen of float32. Where
a processor has narrower registers, LLVM takes several.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

BITS = 512


class Vector(types.Type):
    """The type of a vector within compiled code; `scalar` is that of its numbers."""

    def __init__(self, scalar):
        self.scalar, self.count = scalar, BITS // scalar.bitwidth
        super().__init__(f"Vector({scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        of = ir.DoubleType() if vector.scalar == types.float64 else ir.FloatType()
        super().__init__(manager, vector, ir.VectorType(of, vector.count))


def _place(context, builder, vector, array, index, given):
    """The address of the vector that begins at `index` of an array of rows without gaps."""
    array, indices = context.make_array(array)(context, builder, given[0]), cgutils.unpack_tuple(builder, given[1])
    shape = cgutils.unpack_tuple(builder, array.shape)
    start = cgutils.get_item_pointer2(context, builder, array.data, shape, (), "C", indices)
    return builder.bitcast(start, context.get_value_type(vector).as_pointer())


@intrinsic
def load(typing, array, index):
    """The vector array[index], array[index + 1], ...; `index` is a tuple, and the array in C order."""
    vector = Vector(array.dtype)

    def code(context, builder, signature, given):
        place = _place(context, builder, vector, *signature.args, given)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return vector(array, index), code


@intrinsic
def store(typing, array, index, vector):
    """Writes the vector to array[index], array[index + 1], ..."""

    def code(context, builder, signature, given):
        place = _place(context, builder, vector, *signature.args[:2], given)
        builder.store(given[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, vector), code


def _spread(context, builder, vector, kind, value):
    """`value` itself, or the vector of one number repeated."""
    if isinstance(kind, Vector):
        return value
    whole = context.get_value_type(vector)
    first = builder.insert_element(ir.Constant(whole, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), whole.count), None))


def _with_product(how):
    def typed(typing, total, factor, other):
        def code(context, builder, signature, given):
            pairs = zip(signature.args[1:], given[1:], strict=True)
            product = builder.fmul(*(_spread(context, builder, total, *pair) for pair in pairs))
            return getattr(builder, how)(given[0], product)

        return total(total, factor, other), code

    return typed


plus = intrinsic(_with_product("fadd"))  # plus(total, x, y) = total + x y; x is a vector, or a number for all
minus = intrinsic(_with_product("fsub"))  # minus(total, x, y) = total - x y


@intrinsic
def divided(typing, vector, by):
    """vector / by, number by number."""
    return vector(vector, by), lambda context, builder, signature, given: builder.fdiv(*given)


@intrinsic
def root(typing, vector):
    """Square roots, NaN of what is below 0."""

    def code(context, builder, signature, given):
        whole = given[0].type
        name = f"llvm.sqrt.v{vector.count}f{vector.scalar.bitwidth}"
        return builder.call(
            cgutils.get_or_insert_function(builder.module, ir.FunctionType(whole, [whole]), name), given
        )

    return vector(vector), code
